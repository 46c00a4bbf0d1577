//! Where texts of a table are truncated.

use std::borrow::Cow;
use std::collections::BTreeSet;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where the texts of a column are truncated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// At the end.
    End,
    /// In the middle.
    Middle,
    /// Before this character, and at the end: what is left out there is the same in all rows.
    Before(usize),
}

impl Cut {
    /// The text, truncated to this width.
    pub fn apply(self, text: &str, width: usize) -> Cow<'_, str> {
        match self {
            _ if text.width() <= width => Cow::Borrowed(text),
            Cut::End => truncate(text, width),
            Cut::Middle => truncate_middle(text, width),
            Cut::Before(shared) => {
                let rest: String = text.chars().skip(shared).collect();
                Cow::Owned(format!("…{}", truncate(&rest, width.saturating_sub(1))))
            }
        }
    }
}

/// Number of characters that all texts begin with; the texts are in order.
pub fn shared_chars(texts: &BTreeSet<&str>) -> usize {
    let ends = texts.first().zip(texts.last());
    ends.map_or(0, |(first, last)| first.chars().zip(last.chars()).take_while(|(one, other)| one == other).count())
}

/// The text, truncated with … to this width.
pub fn truncate(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let (mut kept, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    Cow::Owned(kept)
}

/// The text, truncated with … in the middle to this width, so that both ends stay; the end gets the odd column.
pub fn truncate_middle(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let head_width = width.saturating_sub(1) / 2;
    let take = |chars: &mut dyn Iterator<Item = char>, most: usize| {
        let mut used = 0;
        let fits = |c: &char| {
            used += c.width().unwrap_or(0);
            used <= most
        };
        chars.take_while(fits).collect::<Vec<_>>()
    };
    let head: String = take(&mut text.chars(), head_width).into_iter().collect();
    let tail = take(&mut text.chars().rev(), width.saturating_sub(1 + head_width));
    Cow::Owned(head + "…" + &tail.into_iter().rev().collect::<String>())
}

/// Splits a line before this column of the terminal.
pub fn split_at_column(line: &str, column: usize) -> (&str, &str) {
    let mut width = 0;
    let end = line.char_indices().find(|(_, c)| {
        let reached = width >= column;
        width += c.width().unwrap_or(0);
        reached
    });
    line.split_at(end.map_or(line.len(), |(at, _)| at))
}
