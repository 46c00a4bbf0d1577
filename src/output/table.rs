//! Tables for people: laid out where they fit in memory, in streaming columns where they do not.

use std::borrow::Cow;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::json;
use super::progress::human_bytes;
use super::record::{Record, Value, Visibility};
use super::sanitize::sanitize;
use super::text;

/// Rows that are laid out together; beyond them the widths learned so far stand.
const TOGETHER: usize = 2000;
/// No cell is kept longer than this.
const LONGEST: usize = 400;
/// The gap between two columns.
const GAP: usize = 2;
/// A column of text is not made narrower than this while there is another way.
const NARROWEST: usize = 12;
/// So much of a text is worth more than the rest of it beside a title in one line; and the first column, which says what
/// a row is about, keeps it while there is another way.
const ENOUGH: usize = 24;

struct Cell {
    text: String,
    number: bool,
    /// Whether half of it is of use.
    cuttable: bool,
}

/// A column that the record names, shown or not.
struct Column {
    title: String,
    /// Whether it is left out of text lines, and so of a table that is too narrow for it.
    extra: bool,
}

/// A column as it is shown.
struct Shown {
    index: usize,
    width: usize,
    title: [String; 2],
}

impl Shown {
    /// So narrow it may become, and keeps its title.
    fn least(&self, least: usize) -> usize {
        self.title.iter().map(|part| part.width()).max().unwrap_or(0).max(least)
    }
}

/// Takes records, gives lines.
pub struct Layout {
    width: usize,
    bold: bool,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// What is shown, once rows are streamed.
    streamed: Option<Vec<Shown>>,
}

impl Layout {
    /// For a terminal of so many columns.
    pub fn new(width: usize, bold: bool) -> Self {
        Self { width, bold, columns: Vec::new(), rows: Vec::new(), streamed: None }
    }

    /// Takes a record in; appends what can be shown already.
    pub fn push(&mut self, out: &mut String, record: &dyn Record) {
        let (columns, row) = cells(record);
        if self.columns.is_empty() {
            self.columns = columns;
        }
        if let Some(shown) = &self.streamed {
            stream_row(out, &row, shown);
            return;
        }
        self.rows.push(row);
        if self.rows.len() >= TOGETHER {
            self.begin_stream(out);
        }
    }

    /// Appends what has not been shown yet.
    pub fn finish(&mut self, out: &mut String) {
        if self.streamed.is_some() || self.rows.is_empty() {
            return;
        }
        let shown = self.fit(self.used());
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        for row in &self.rows {
            table.add_row(shown.iter().map(|column| {
                let cell = row.get(column.index);
                let text = cell.map_or(Cow::Borrowed(""), |cell| cut(&cell.text, column.width));
                let align =
                    if cell.is_some_and(|cell| cell.number) { CellAlignment::Right } else { CellAlignment::Left };
                comfy_table::Cell::new(text).set_alignment(align)
            }));
        }
        for (index, column) in shown.iter().enumerate() {
            if let Some(laid) = table.column_mut(index) {
                laid.set_padding((0, u16::try_from(GAP).unwrap_or(2)));
                let width = u16::try_from(column.width + GAP).unwrap_or(u16::MAX);
                laid.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
            }
        }
        self.header(out, &shown);
        for line in table.lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        self.rows.clear();
    }

    fn header(&self, out: &mut String, shown: &[Shown]) {
        for part in 0..2 {
            let title = |column: &Shown| Cell {
                text: column.title[part].clone(),
                number: self.numeric(column.index),
                cuttable: false,
            };
            let mut line = String::new();
            laid(&mut line, shown.iter().map(|column| (title(column), column.width)));
            if line.is_empty() {
                continue;
            }
            if self.bold {
                line = format!("\x1b[1m{line}\x1b[0m");
            }
            out.push_str(&line);
            out.push('\n');
        }
    }

    fn begin_stream(&mut self, out: &mut String) {
        let shown = self.fit((0..self.columns.len()).collect());
        self.header(out, &shown);
        for row in std::mem::take(&mut self.rows) {
            stream_row(out, &row, &shown);
        }
        self.streamed = Some(shown);
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().filter_map(move |row| row.get(column))
    }

    fn numeric(&self, column: usize) -> bool {
        self.cells(column).any(|cell| cell.number)
    }

    /// The columns that have anything in them.
    fn used(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|column| self.cells(*column).any(|cell| !cell.text.is_empty())).collect()
    }

    /// What is shown of these columns, and how wide, so that a row fits the terminal. First the texts behind the first
    /// column are cut, then titles take two lines, then all texts are cut more; then columns are left out that are
    /// extra, from the right; last, any column is cut.
    fn fit(&self, mut indices: Vec<usize>) -> Vec<Shown> {
        let shown = self.at_most(&indices, false, &[(1, ENOUGH)]);
        if self.total(&shown) <= self.width {
            return shown;
        }
        loop {
            let shown = self.at_most(&indices, true, &[(1, NARROWEST), (0, ENOUGH)]);
            if self.total(&shown) <= self.width {
                return shown;
            }
            match indices.iter().rposition(|index| self.columns[*index].extra) {
                Some(extra) => indices.remove(extra),
                None => break,
            };
        }
        let mut shown = self.at_most(&indices, true, &[(1, NARROWEST), (0, NARROWEST), (0, 1)]);
        while self.total(&shown) > self.width {
            let widest = shown.iter_mut().max_by_key(|column| column.width).filter(|column| column.width > 1);
            let Some(widest) = widest else { break };
            widest.width -= 1;
        }
        shown
    }

    fn total(&self, shown: &[Shown]) -> usize {
        shown.iter().map(|column| column.width).sum::<usize>() + GAP * shown.len().saturating_sub(1)
    }

    /// The columns at their natural widths; where that is too much, texts from the column `from` on are cut, the widest
    /// first, none below `least`, for each `(from, least)` in turn. Titles that are wider than all below take two lines
    /// where they may.
    fn at_most(&self, indices: &[usize], two_lines: bool, steps: &[(usize, usize)]) -> Vec<Shown> {
        let column = |index: &usize| {
            let title = &self.columns[*index].title;
            let cells = self.cells(*index).map(|cell| cell.text.width()).max().unwrap_or(0);
            let halved = two_lines && title.width() > cells;
            let title = if halved { halves(title) } else { [String::new(), title.clone()] };
            let mut shown = Shown { index: *index, width: 0, title };
            shown.width = shown.least(cells);
            shown
        };
        let mut shown: Vec<Shown> = indices.iter().map(column).collect();
        for (from, least) in steps {
            loop {
                let over = self.total(&shown).saturating_sub(self.width);
                let may = |column: &&mut Shown| {
                    column.width > column.least(*least) && self.cells(column.index).any(|cell| cell.cuttable)
                };
                let widest = shown.iter_mut().skip(*from).filter(may).max_by_key(|column| column.width);
                let Some(widest) = widest.filter(|_| over > 0) else { break };
                widest.width = widest.width.saturating_sub(over).max(widest.least(*least));
            }
        }
        shown
    }
}

/// A title in two lines, as narrow as its words let it be.
fn halves(title: &str) -> [String; 2] {
    let splits = title.match_indices(' ').map(|(at, _)| (&title[..at], &title[at + 1..]));
    let (upper, lower) = splits.min_by_key(|(upper, lower)| upper.width().max(lower.width())).unwrap_or(("", title));
    [upper.to_owned(), lower.to_owned()]
}

fn cells(record: &dyn Record) -> (Vec<Column>, Vec<Cell>) {
    let (mut columns, mut row) = (Vec::new(), Vec::new());
    record.fields(&mut |field| {
        if field.show != Visibility::Data {
            let title = field.name.to_uppercase().replace('_', " ");
            columns.push(Column { title, extra: field.show == Visibility::Table });
            row.push(cell(&field.value));
        }
    });
    (columns, row)
}

fn cell(value: &Value<'_>) -> Cell {
    let number = matches!(value, Value::Int(_) | Value::Uint(_) | Value::Size(_) | Value::Millis(_));
    let cuttable = !number && !matches!(value, Value::Hex(_) | Value::Bool(_));
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
    Cell { text, number, cuttable }
}

fn stream_row(out: &mut String, row: &[Cell], shown: &[Shown]) {
    laid(out, shown.iter().filter_map(|column| Some((row.get(column.index)?, column.width))));
    out.push('\n');
}

/// Appends cells side by side, each at its width.
fn laid(out: &mut String, cells: impl Iterator<Item = (impl std::borrow::Borrow<Cell>, usize)>) {
    let start = out.len();
    for (index, (cell, width)) in cells.enumerate() {
        let cell = cell.borrow();
        if index > 0 {
            out.push_str("  ");
        }
        let text = cut(&cell.text, width);
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
mod tests;
