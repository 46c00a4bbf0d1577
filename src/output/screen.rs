//! Rounds of a table that replace each other on the terminal.
//!
//! A round is drawn into memory and written at once over the round before, so that nothing flickers. The cursor stays below
//! the last line, in the terminal's ordinary mode: however the program ends, there is nothing to restore.

use std::io;
use std::sync::PoisonError;

use unicode_width::UnicodeWidthChar;

use super::out::Out;
use super::sanitize::sanitize;
use super::screen_state::ScreenState;
use super::settings::is_dumb_terminal;

/// Rounds that replace each other on a terminal, and follow each other elsewhere.
pub struct Screen {
    out: Out,
    redraws: bool,
    begun: bool,
}

impl Out {
    /// Begins a screen. Elsewhere than on a terminal, on a terminal that cannot move the cursor, and in JSON and YAML,
    /// rounds follow each other.
    pub fn screen(&self) -> Screen {
        let redraws = self.shared.terminal && !is_dumb_terminal() && !self.is_data();
        self.with_screen(|state| *state = ScreenState::new(redraws));
        Screen { out: self.clone(), redraws, begun: false }
    }

    pub(super) fn with_screen<T>(&self, change: impl FnOnce(&mut ScreenState) -> T) -> T {
        change(&mut self.shared.screen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Screen {
    /// Whether each round replaces the one before it.
    pub fn redraws(&self) -> bool {
        self.redraws
    }

    /// The lines that a round may have below its title; `None` if rounds follow each other.
    pub fn lines(&self) -> Option<usize> {
        self.redraws.then(|| size().1.saturating_sub(2))
    }

    /// Shows a round. On a terminal it begins with the title, and what `draw` writes to stderr follows its data; elsewhere
    /// it has no title.
    ///
    /// # Errors
    /// The error of `draw`; or the stream is closed or full.
    pub fn round<E: From<io::Error>>(&mut self, title: &str, draw: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        if !self.redraws {
            draw()?;
            return Ok(self.out.flush()?);
        }
        let (width, height) = size();
        self.out.flush()?;
        self.out.set_width(width);
        self.out.stdout().frame = Some(Vec::new());
        self.out.with_screen(ScreenState::begin_round);
        let drawn = draw();
        let flushed = self.out.flush();
        let frame = self.out.stdout().frame.take().unwrap_or_default();
        let notes = self.out.with_screen(ScreenState::end_round);
        flushed?;
        let round =
            Round { title: &sanitize(title.as_bytes(), false), body: &String::from_utf8_lossy(&frame), notes: &notes };
        let mut text = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            // What the terminal shows now stays readable above the screen.
            text.push_str(&"\n".repeat(height.saturating_sub(1)));
        }
        text.push_str(&round.compose(width, height));
        self.out.bytes(text.as_bytes())?;
        self.out.flush()?;
        drawn
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.out.with_screen(|state| *state = ScreenState::default());
    }
}

/// Columns and lines of the terminal now.
fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size();
    size.map_or((80, 24), |(width, height)| (usize::from(width.0).max(20), usize::from(height.0).max(5)))
}

struct Round<'a> {
    title: &'a str,
    body: &'a str,
    notes: &'a [String],
}

impl Round<'_> {
    /// The bytes that replace the round before: from the first line on, each line is cleared behind its end, and all lines
    /// below the last one are cleared. The last line of the terminal stays free for the cursor.
    fn compose(&self, width: usize, height: usize) -> String {
        let wrapped = |text: &str| text.lines().flat_map(|line| wrap(line, width)).collect::<Vec<String>>();
        let mut lines = wrapped(self.title);
        let mut body = wrapped(self.body);
        let mut notes: Vec<String> = self.notes.iter().flat_map(|note| wrapped(note)).collect();
        let room = height.saturating_sub(1).saturating_sub(lines.len());
        // The messages are more important than the end of a long table.
        shorten(&mut notes, (room / 2).max(room.saturating_sub(body.len())), width);
        shorten(&mut body, room.saturating_sub(notes.len()), width);
        lines.append(&mut body);
        lines.append(&mut notes);
        let mut text = "\x1b[H".to_owned();
        for line in lines {
            text.push_str(&line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        text
    }
}

/// Leaves at most `room` lines, of which the last one then says how many are missing.
fn shorten(lines: &mut Vec<String>, room: usize, width: usize) {
    if lines.len() > room {
        let kept = room.saturating_sub(1);
        let missing = lines.len() - kept;
        lines.truncate(kept);
        if room > 0 {
            let text = format!("… {missing} more lines; enlarge the window");
            // On a very narrow terminal, the number is what matters.
            lines.extend(wrap(&text, width).into_iter().take(1));
        }
    }
}

/// Splits a line into parts that are no wider than the terminal. Escape sequences have no width.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let (mut parts, mut part, mut used) = (Vec::new(), String::new(), 0);
    let mut in_escape = false;
    for c in line.chars() {
        let wide = match (in_escape, c) {
            (_, '\x1b') => {
                in_escape = true;
                0
            }
            (true, c) => {
                in_escape = !c.is_ascii_alphabetic();
                0
            }
            (false, c) => c.width().unwrap_or(0),
        };
        if used + wide > width {
            parts.push(std::mem::take(&mut part));
            used = 0;
        }
        used += wide;
        part.push(c);
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;

    fn lines(text: &str) -> Vec<&str> {
        let text = text.strip_prefix("\x1b[H").unwrap().strip_suffix("\x1b[J").unwrap();
        text.split_terminator('\n').map(|line| line.strip_suffix("\x1b[K").unwrap()).collect()
    }

    #[test]
    fn a_round_has_its_title_its_table_and_its_messages() {
        let round = Round { title: "now", body: "A B\n1 2\n", notes: &["warning: slow".to_owned()] };
        assert_eq!(lines(&round.compose(80, 24)), ["now", "A B", "1 2", "warning: slow"]);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_messages_stay() {
        let body: String = (0..50).map(|n| format!("{n}\n")).collect();
        let round = Round { title: "now", body: &body, notes: &["warning: slow".to_owned()] };
        let text = round.compose(80, 8);
        assert_eq!(lines(&text), ["now", "0", "1", "2", "3", "… 46 more lines; enlarge the window", "warning: slow"]);
    }

    #[test]
    fn colours_take_no_place_and_wide_characters_two() {
        assert_eq!(wrap("\x1b[1mab\x1b[0mcd", 4), ["\x1b[1mab\x1b[0mcd"]);
        assert_eq!(wrap("\x1b[31mabcde\x1b[0m", 4), ["\x1b[31mabcd", "e\x1b[0m"]);
        assert_eq!(wrap("日本語", 5), ["日本", "語"]);
        assert_eq!(wrap("", 5), [""]);
    }

    proptest! {
        #[test]
        fn a_round_never_scrolls_the_terminal(
            body in proptest::collection::vec("[a-z 日]{0,120}", 0..60),
            notes in proptest::collection::vec("[a-z]{0,200}", 0..30),
            width in 20usize..120, height in 5usize..60,
        ) {
            let text = Round { title: "now", body: &(body.join("\n") + "\n"), notes: &notes }.compose(width, height);
            let lines = lines(&text);
            prop_assert!(lines.len() < height);
            for line in lines {
                prop_assert!(unicode_width::UnicodeWidthStr::width(line) <= width);
            }
        }

        #[test]
        fn wrapping_loses_nothing(line in "\\PC{0,200}", width in 20usize..90) {
            prop_assert_eq!(wrap(&line, width).concat(), line);
        }
    }
}
