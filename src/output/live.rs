//! Records of endless streams, such as the events of `watch`: each is written at once, on one line.

use std::io;

use unicode_width::UnicodeWidthStr;

use super::event::FaultRow;
use super::out::Out;
use super::record::{Record, Tone, Value, Visibility};
use super::sanitize::sanitize;
use super::settings::Format;
use super::sink::Sink;
use super::table::truncate;
use super::text;

/// The gap between two columns.
const GAP: usize = 2;
/// Width of the kind of event: that of the longest one that is not rare.
const EVENT_WIDTH: usize = 9;
/// A longer key does not widen the column of the keys, nor does one that takes more than half of what is left of a line.
const MAX_KEY_WIDTH: usize = 40;
/// The keys have at least this width, so that most lines are aligned from the first one on.
const LEAST_KEY_WIDTH: usize = 20;
/// A value keeps at least this width: after a long key, its line is wrapped by the terminal.
const MIN_VALUE_WIDTH: usize = 16;

impl Out {
    /// Writes one record of an endless stream at once. On a terminal, the line is aligned with those before it, and values
    /// are truncated to its width, unless another format is requested. In raw only records with a value are written.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn live(&self, record: &dyn Record) -> io::Result<()> {
        let mut valued = false;
        record.fields(&mut |field| valued |= field.name == "value" && !matches!(field.value, Value::Absent));
        if self.shared.format == Format::Raw && !valued {
            return Ok(());
        }
        let Some(decoded) = self.decoded(record) else { return self.live_record(record) };
        self.live_record(&decoded)?;
        for fault in &decoded.faults {
            match fault.fatal {
                true => self.live_record(&FaultRow { fault, record })?,
                false => self.warn_faults(std::slice::from_ref(fault)),
            }
        }
        Ok(())
    }

    fn live_record(&self, record: &dyn Record) -> io::Result<()> {
        if self.shared.format != Format::Table || !self.shared.terminal {
            let mut sink = Sink::plain(self);
            sink.write(record)?;
            return sink.finish();
        }
        let width = terminal_size::terminal_size().map_or(self.width(), |(width, _)| usize::from(width.0));
        let mut stdout = self.stdout();
        let mut key_width = stdout.live_key_width;
        live_line(&mut stdout.text, record, width, &mut key_width, self.shared.bold);
        stdout.live_key_width = key_width;
        stdout.put_text()?;
        stdout.drain()
    }
}

/// Appends the record as one line of a terminal. `key_width` is the width of the widest key so far.
fn live_line(out: &mut String, record: &dyn Record, width: usize, key_width: &mut usize, colors: bool) {
    // Padding comes before the next text only, so that no line ends with it.
    let (mut used, mut due) = (0, 0);
    let mut has_previous = false;
    record.fields(&mut |field| has_previous |= field.name == "prev_value" && !matches!(field.value, Value::Absent));
    record.fields(&mut |field| {
        if !matches!(field.show, Visibility::Always | Visibility::Spare) || matches!(field.value, Value::Absent) {
            return;
        }
        let text = shown(&field.value);
        let tone = if let Value::Word(_, tone) = field.value { tone } else { Tone::Neutral };
        // A value must not be taken for the one before it.
        let rest = width.saturating_sub(used + due);
        let for_value = if has_previous { (rest / 2).saturating_sub(GAP) } else { rest };
        let text = match field.name {
            "value" => truncate(&text, for_value.max(MIN_VALUE_WIDTH)).into_owned(),
            "prev_value" => {
                format!("(was {})", truncate(&text, rest.saturating_sub("(was )".len()).max(MIN_VALUE_WIDTH)))
            }
            _ => text,
        };
        let least = match field.name {
            "event" => EVENT_WIDTH,
            "key" => {
                if text.width() <= MAX_KEY_WIDTH.min(rest / 2) {
                    *key_width = (*key_width).max(text.width());
                }
                (*key_width).max(LEAST_KEY_WIDTH.min(rest / 3))
            }
            _ => 0,
        };
        if !text.is_empty() {
            out.extend(std::iter::repeat_n(' ', due));
            used += due;
            due = 0;
            match colors {
                true => tone.paint(out, &text),
                false => out.push_str(&text),
            }
        }
        used += text.width();
        due += least.saturating_sub(text.width()) + GAP;
    });
    out.push('\n');
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Bytes(bytes) => sanitize(bytes, false).into_owned(),
        Value::Str(text) | Value::Word(text, _) => sanitize(text.as_bytes(), false).into_owned(),
        other => {
            let mut text = String::new();
            text::value(&mut text, other);
            sanitize(text.as_bytes(), false).into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvstore::KeyValue;
    use crate::output::{ChangeKind, EventRow, StatusRow};

    fn kv(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.as_bytes().to_vec(), value: value.as_bytes().to_vec(), ..KeyValue::default() }
    }

    fn lines(rows: &[&dyn Record], width: usize, colors: bool) -> String {
        let (mut out, mut key_width) = (String::new(), 0);
        rows.iter().for_each(|row| live_line(&mut out, *row, width, &mut key_width, colors));
        out
    }

    #[test]
    fn lines_are_aligned_and_values_cut() {
        let (one, two, three) = (kv("/a", "on"), kv("/app/mode", &"x".repeat(90)), kv("/b\u{1b}[2J", ""));
        let event = |kind, kv, prev| EventRow { time: None, kind, kv, value: true, prev };
        let done = StatusRow { time: None, event: "list-done", status: None, revision: Some(7) };
        let rows: [&dyn Record; 5] = [
            &event(ChangeKind::Created, &one, None),
            &done,
            &event(ChangeKind::Modified, &two, None),
            &event(ChangeKind::Modified, &one, Some(Some(&two))),
            &event(ChangeKind::Deleted, &three, Some(Some(&one))),
        ];
        let expected = format!(
            "created    /a         on\nlist-done\nmodified   /app/mode  {}…\nmodified   /a         on  (was {}…)\n\
             deleted    /b\\x1b[2J  (was on)\n",
            "x".repeat(17),
            "x".repeat(15),
        );
        assert_eq!(lines(&rows, 40, false), expected);
        let painted = lines(&rows[..2], 40, true);
        assert_eq!(painted, "\u{1b}[32mcreated\u{1b}[0m    /a         on\nlist-done\n");
    }

    #[test]
    fn a_long_key_stays_whole_and_moves_no_other_line() {
        let (long, short, wide) =
            (kv(&"/k".repeat(60), "value"), kv("/k", "value"), kv("/日本語", "日本語テキスト日本語"));
        let row = |kv| EventRow { time: None, kind: ChangeKind::Created, kv, value: true, prev: None };
        let text = lines(&[&row(&long), &row(&short), &row(&wide)], 60, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("created    {}  value", "/k".repeat(60)));
        assert_eq!(lines[1], "created    /k                value");
        assert_eq!(lines[2], "created    /日本語           日本語テキスト日本語");
    }
}
