//! The line of a progress bar on a terminal: one line, which leaves room for the `^C` that the terminal echoes.
//!
//! The line never reaches the right edge, and its end is cleared instead of padded. Otherwise the echo would begin another
//! line, and the bar would be removed from the wrong one.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use indicatif::TermLike;

use crate::output::table::truncate;

/// Columns that stay free: the echo has two.
const FREE_COLUMNS: usize = 3;
/// The width that bars are laid out for. It is larger than any bar, so that each is one line, which is cut here.
const LAYOUT_WIDTH: u16 = 1000;

/// Standard error, a terminal, as the place of one line that is drawn again and again.
#[derive(Debug, Default)]
pub(super) struct BarLine {
    pending: Mutex<String>,
}

impl BarLine {
    fn add(&self, text: &str) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
    }

    fn move_cursor(&self, count: usize, direction: char) {
        if count > 0 {
            // Writing to a string cannot fail.
            let _ = write!(self.pending.lock().unwrap_or_else(PoisonError::into_inner), "\x1b[{count}{direction}");
        }
    }
}

/// What is written for a part of a bar: the text, cut for a terminal of this width; padding clears the end of the line.
fn fitted(text: &str, width: usize) -> String {
    match text {
        "\r" => text.to_owned(),
        _ if text.trim_matches(' ').is_empty() => "\x1b[K".to_owned(),
        _ => truncate(text, width.saturating_sub(FREE_COLUMNS)).into_owned(),
    }
}

/// The width of the terminal.
fn width() -> usize {
    terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width.0))
}

impl TermLike for BarLine {
    fn width(&self) -> u16 {
        LAYOUT_WIDTH
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D');
        Ok(())
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.add(&fitted(s, width()));
        self.add("\n");
        Ok(())
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.add(&fitted(s, width()));
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let text = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        io::stderr().lock().write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_leaves_room_and_is_not_padded() {
        assert_eq!(fitted(&"x".repeat(90), 20), format!("{}…", "x".repeat(16)));
        assert_eq!(fitted("waiting 3s", 20), "waiting 3s");
        assert_eq!(fitted(&" ".repeat(80), 20), "\x1b[K");
        assert_eq!((fitted("", 20), fitted("\r", 20)), ("\x1b[K".to_owned(), "\r".to_owned()));
    }
}
