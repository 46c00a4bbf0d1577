//! Tables for people: laid out where they fit in memory, in streaming columns where they do not.

use std::borrow::Cow;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::json;
use super::progress::human_bytes;
use super::record::{Record, Show, Value};
use super::sanitize::sanitize;
use super::text;

/// Rows that are laid out together; beyond them the widths learned so far stand.
const TOGETHER: usize = 2000;
/// No cell is kept longer than this.
const LONGEST: usize = 400;
/// The gap between two columns.
const GAP: usize = 2;
/// A column is not made narrower than this.
const NARROWEST: usize = 12;

struct Cell {
    text: String,
    number: bool,
}

/// Takes records, gives lines.
pub struct Layout {
    width: usize,
    bold: bool,
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    /// The columns' widths, once rows are streamed.
    widths: Option<Vec<usize>>,
}

impl Layout {
    /// For a terminal of so many columns.
    pub fn new(width: usize, bold: bool) -> Self {
        Self { width, bold, header: Vec::new(), rows: Vec::new(), widths: None }
    }

    /// Takes a record in; appends what can be shown already.
    pub fn push(&mut self, out: &mut String, record: &dyn Record) {
        let (names, row) = cells(record);
        if self.header.is_empty() {
            self.header = names;
        }
        if let Some(widths) = &self.widths {
            stream_row(out, &row, widths);
            return;
        }
        self.rows.push(row);
        if self.rows.len() >= TOGETHER {
            self.begin_stream(out);
        }
    }

    /// Appends what has not been shown yet.
    pub fn finish(&mut self, out: &mut String) {
        if self.widths.is_some() || self.rows.is_empty() {
            return;
        }
        let used = self.used();
        let widths = self.fit(&used);
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(used.iter().map(|column| self.title(*column)));
        for row in &self.rows {
            table.add_row(used.iter().zip(&widths).map(|(column, width)| {
                let cell = row.get(*column);
                let text = cell.map_or(Cow::Borrowed(""), |cell| cut(&cell.text, *width));
                let align =
                    if cell.is_some_and(|cell| cell.number) { CellAlignment::Right } else { CellAlignment::Left };
                comfy_table::Cell::new(text).set_alignment(align)
            }));
        }
        for (index, _) in used.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, u16::try_from(GAP).unwrap_or(2)));
            }
        }
        for (index, line) in table.lines().enumerate() {
            self.line(out, line.trim_end(), index == 0);
        }
        self.rows.clear();
    }

    fn line(&self, out: &mut String, line: &str, header: bool) {
        if header && self.bold {
            out.push_str("\x1b[1m");
            out.push_str(line);
            out.push_str("\x1b[0m");
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }

    fn begin_stream(&mut self, out: &mut String) {
        let all: Vec<usize> = (0..self.header.len()).collect();
        let widths = self.fit(&all);
        let mut header = String::new();
        let titles: Vec<Cell> =
            all.iter().map(|column| Cell { text: self.title(*column), number: self.numeric(*column) }).collect();
        stream_row(&mut header, &titles, &widths);
        self.line(out, header.trim_end(), true);
        for row in std::mem::take(&mut self.rows) {
            stream_row(out, &row, &widths);
        }
        self.widths = Some(widths);
    }

    fn title(&self, column: usize) -> String {
        self.header.get(column).map(|name| name.to_uppercase().replace('_', " ")).unwrap_or_default()
    }

    fn numeric(&self, column: usize) -> bool {
        self.rows.iter().filter_map(|row| row.get(column)).any(|cell| cell.number)
    }

    /// The columns that have anything in them.
    fn used(&self) -> Vec<usize> {
        let filled =
            |column: &usize| self.rows.iter().any(|row| row.get(*column).is_some_and(|cell| !cell.text.is_empty()));
        (0..self.header.len()).filter(filled).collect()
    }

    /// How wide each column becomes, so that a row fits the terminal: the widest column gives way first, the key last.
    fn fit(&self, columns: &[usize]) -> Vec<usize> {
        let natural = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.width()).max();
            cells.unwrap_or(0).max(self.title(column).width())
        };
        let mut widths: Vec<usize> = columns.iter().map(|column| natural(*column)).collect();
        let room = self.width.saturating_sub(GAP * columns.len().saturating_sub(1));
        let is_key = |index: usize| self.header.get(columns[index]).is_some_and(|name| *name == "key");
        for keys_too in [false, true] {
            while widths.iter().sum::<usize>() > room {
                let over = widths.iter().sum::<usize>() - room;
                let widest = (0..widths.len())
                    .filter(|index| widths[*index] > NARROWEST && (keys_too || !is_key(*index)))
                    .max_by_key(|index| widths[*index]);
                let Some(widest) = widest else { break };
                widths[widest] = widths[widest].saturating_sub(over).max(NARROWEST);
            }
        }
        widths
    }
}

fn cells(record: &dyn Record) -> (Vec<&'static str>, Vec<Cell>) {
    let (mut names, mut row) = (Vec::new(), Vec::new());
    record.fields(&mut |field| {
        if field.show != Show::Data {
            names.push(field.name);
            row.push(cell(&field.value));
        }
    });
    (names, row)
}

fn cell(value: &Value<'_>) -> Cell {
    let number = matches!(value, Value::Int(_) | Value::Uint(_) | Value::Size(_) | Value::Millis(_));
    let text = match value {
        Value::Bytes(bytes) => {
            let head = &bytes[..bytes.len().min(LONGEST)];
            cut(&sanitize(head, false), if head.len() < bytes.len() { LONGEST - 1 } else { usize::MAX }).into_owned()
        }
        Value::Decoded { json, .. } => sanitize(json::text(json).as_bytes(), false).into_owned(),
        Value::Str(text) => sanitize(text.as_bytes(), false).into_owned(),
        Value::Size(bytes) => human_bytes(*bytes),
        other => {
            let mut shown = String::new();
            text::value(&mut shown, other);
            sanitize(shown.as_bytes(), false).into_owned()
        }
    };
    Cell { text, number }
}

fn stream_row(out: &mut String, row: &[Cell], widths: &[usize]) {
    let start = out.len();
    for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
        if index > 0 {
            out.push_str("  ");
        }
        let text = cut(&cell.text, *width);
        let pad = " ".repeat(width.saturating_sub(text.width()));
        if cell.number {
            out.push_str(&pad);
            out.push_str(&text);
        } else {
            out.push_str(&text);
            out.push_str(&pad);
        }
    }
    let end = start + out[start..].trim_end().len();
    out.truncate(end);
    out.push('\n');
}

/// The text in so many columns, with … where it was cut.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvstore::KeyValue;

    fn kv(key: &str, value: &str, revision: i64) -> KeyValue {
        KeyValue {
            key: key.as_bytes().to_vec(),
            value: value.as_bytes().to_vec(),
            mod_revision: revision,
            version: 1,
            ..KeyValue::default()
        }
    }

    #[test]
    fn a_table_fits_and_leaves_empty_columns_out() {
        let mut layout = Layout::new(40, false);
        let mut out = String::new();
        layout.push(&mut out, &kv("/a", &"x".repeat(90), 7));
        layout.push(&mut out, &kv("/long/key", "\u{1b}[2J", 12345));
        assert_eq!(out, "");
        layout.finish(&mut out);
        let expected = "KEY        VALUE         MOD REVISION  V\n";
        assert!(out.starts_with("KEY        VALUE"), "{out}");
        assert!(!out.contains("LEASE") && !out.contains('\u{1b}') && out.contains("xx…"), "{out}");
        assert!(out.lines().count() == 3 && expected.len() > 40, "{out}");
    }

    #[test]
    fn many_rows_stream_in_columns() {
        let mut layout = Layout::new(80, false);
        let (mut shown, mut lines) = (String::new(), 0);
        for n in 0..5000 {
            let mut out = String::new();
            layout.push(&mut out, &kv(&format!("/k/{n:05}"), "v", n));
            lines += out.lines().count();
            shown.push_str(&out);
            assert!(layout.rows.len() < TOGETHER);
        }
        layout.finish(&mut shown);
        assert_eq!(lines, 5001);
        let columns: Vec<usize> = shown.lines().filter_map(|line| line.find(" v ")).collect();
        assert!(columns.iter().all(|column| column == &columns[0]));
    }

    #[test]
    fn wide_characters_are_cut_by_columns() {
        assert_eq!(cut("日本語テキスト", 6), "日本…");
        assert_eq!(cut("abc", 3), "abc");
    }
}
