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
    let Some((first, last)) = texts.first().zip(texts.last()) else { return 0 };
    let same = units(first).zip(units(last)).take_while(|(one, other)| one == other);
    same.map(|(unit, _)| unit.chars().count()).sum()
}

/// The text, truncated with … to this width.
pub fn truncate(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let (mut kept, mut used) = (String::new(), 1);
    for unit in units(text) {
        used += unit_width(unit);
        if used > width {
            break;
        }
        kept.push_str(unit);
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
    let take = |units: &mut dyn Iterator<Item = &&str>, most: usize| {
        let mut used = 0;
        units
            .take_while(|unit| {
                used += unit_width(unit);
                used <= most
            })
            .count()
    };
    let units: Vec<&str> = units(text).collect();
    let head = take(&mut units.iter(), head_width);
    let tail = take(&mut units.iter().rev(), width.saturating_sub(1 + head_width));
    Cow::Owned(units[..head].concat() + "…" + &units[units.len() - tail..].concat())
}

/// The parts of a text that are shown as a whole or not at all: characters, and escapes such as `\n` and `\x1b`, half of
/// which would be other text.
fn units(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut chars = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
        let length = match rest.as_bytes() {
            [] => return None,
            [b'\\', b'x', ..] => 4,
            [b'\\', _, ..] => 2,
            _ => 1,
        };
        let (unit, after) = rest.split_at(chars.nth(length).unwrap_or(rest.len()));
        rest = after;
        Some(unit)
    })
}

fn unit_width(unit: &str) -> usize {
    unit.chars().map(|c| c.width().unwrap_or(0)).sum()
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
