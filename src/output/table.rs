//! Table output: short tables are laid out as a whole, long ones are streamed with the widths of their first rows.

use std::borrow::Cow;
use std::collections::BTreeSet;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use unicode_width::UnicodeWidthStr;

pub(super) use cut::truncate;
use cut::{Cut, shared_chars, split_at_column};

use super::json;
use super::progress::human_bytes;
use super::record::{Record, Tone, Value, Visibility};
use super::sanitize::{escape_for_terminal, sanitize};
use super::text;
use crate::plural::grouped;

/// Number of rows that determine the column widths; later rows are streamed.
const LAYOUT_ROWS: usize = 2000;
/// Maximum length of a stored cell, in bytes and columns.
const MAX_CELL: usize = 400;
/// The gap between two columns.
const GAP: usize = 2;
/// Minimum width of a text column, unless nothing else helps.
const MIN_WIDTH: usize = 12;
/// Characters that stay of what all names begin with, if that is left out.
const SHARED_SHOWN: usize = 4;
/// Preferred minimum width of a text column: titles are split before text gets narrower, and the first column, which
/// identifies the row, keeps it longest.
const PREFERRED_WIDTH: usize = 24;

/// Titles of texts that are never truncated: addresses, keywords and branches of a tree, half of which is of no use.
const WHOLE: &[&str] = &["ENDPOINT", "EVENT", "FINDING", "PROBE", "PROBLEM", "STATE", "TREE"];
/// Titles of texts that identify the row, and differ at their ends: they are truncated in the middle, and last.
const NAMES: &[&str] = &["KEY", "NAME"];

struct Cell {
    text: String,
    number: bool,
    /// Whether the text may be truncated.
    truncatable: bool,
    tone: Tone,
}

/// A column of the records, shown or not.
struct Column {
    title: String,
    /// Whether a narrow table may omit the column.
    extra: bool,
}

impl Column {
    fn is_whole(&self) -> bool {
        WHOLE.contains(&self.title.as_str())
    }

    fn is_name(&self) -> bool {
        NAMES.contains(&self.title.as_str())
    }
}

/// A column of the printed table.
struct ShownColumn {
    index: usize,
    width: usize,
    title: [String; 2],
    cut: Cut,
}

impl ShownColumn {
    /// The minimum width, which includes the title.
    fn min_width(&self, least: usize) -> usize {
        self.title.iter().map(|part| part.width()).max().unwrap_or(0).max(least)
    }

    /// The text, truncated to the width of the column.
    fn truncate<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.cut.apply(text, self.width)
    }
}

/// Lays out records as table lines.
pub struct TableLayout {
    width: usize,
    colors: bool,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// The columns, once rows are streamed.
    streamed: Option<Vec<ShownColumn>>,
}

impl TableLayout {
    /// Creates a layout for a terminal of this width.
    pub fn new(width: usize, colors: bool) -> Self {
        Self { width, colors, columns: Vec::new(), rows: Vec::new(), streamed: None }
    }

    /// Adds a record and appends the lines that are ready.
    pub fn push(&mut self, out: &mut String, record: &dyn Record) {
        let (columns, row) = cells(record);
        if self.columns.is_empty() {
            self.columns = columns;
        }
        if let Some(shown) = &self.streamed {
            stream_row(out, &row, shown, self.colors);
            return;
        }
        self.rows.push(row);
        if self.rows.len() >= LAYOUT_ROWS {
            self.begin_stream(out);
        }
    }

    /// Appends the remaining lines.
    pub fn finish(&mut self, out: &mut String) {
        if self.streamed.is_some() || self.rows.is_empty() {
            return;
        }
        let shown = self.fit(self.non_empty());
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        for row in &self.rows {
            table.add_row(shown.iter().map(|column| {
                let cell = row.get(column.index);
                let text = cell.map_or(Cow::Borrowed(""), |cell| column.truncate(&cell.text));
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
        let mut rows = self.rows.iter();
        for line in table.lines() {
            self.push_laid_out(out, line.trim_end(), rows.next().map_or(&[], Vec::as_slice), &shown);
            out.push('\n');
        }
        self.rows.clear();
    }

    fn header(&self, out: &mut String, shown: &[ShownColumn]) {
        for part in 0..2 {
            let title = |column: &ShownColumn| Cell {
                text: column.title[part].clone(),
                number: self.numeric(column.index),
                truncatable: false,
                tone: Tone::Neutral,
            };
            let mut line = String::new();
            push_cells(&mut line, shown.iter().map(|column| (title(column), column)), false);
            if line.is_empty() {
                continue;
            }
            if self.colors {
                line = format!("\x1b[1m{line}\x1b[0m");
            }
            out.push_str(&line);
            out.push('\n');
        }
    }

    /// Appends a laid out line with the colours of its words. The layout itself knows no colours, so that escape sequences
    /// cannot disturb its widths.
    fn push_laid_out(&self, out: &mut String, line: &str, row: &[Cell], shown: &[ShownColumn]) {
        let (mut rest, mut start, mut at) = (line, 0_usize, 0);
        for column in shown.iter().filter(|_| self.colors) {
            if let Some(cell) = row.get(column.index).filter(|cell| cell.tone != Tone::Neutral) {
                let text = column.truncate(&cell.text);
                let (before, from) = split_at_column(rest, start.saturating_sub(at));
                if let Some(after) = from.strip_prefix(&*text) {
                    out.push_str(before);
                    cell.tone.paint(out, &text);
                    (rest, at) = (after, start + text.width());
                }
            }
            start += column.width + GAP;
        }
        out.push_str(rest);
    }

    fn begin_stream(&mut self, out: &mut String) {
        let shown = self.fit((0..self.columns.len()).collect());
        self.header(out, &shown);
        for row in std::mem::take(&mut self.rows) {
            stream_row(out, &row, &shown, self.colors);
        }
        self.streamed = Some(shown);
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().filter_map(move |row| row.get(column))
    }

    fn numeric(&self, column: usize) -> bool {
        self.cells(column).any(|cell| cell.number)
    }

    /// The columns with at least one non-empty cell.
    fn non_empty(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|column| self.cells(*column).any(|cell| !cell.text.is_empty())).collect()
    }

    /// Chooses columns and widths so that a row fits the terminal. In this order: truncate the texts that do not identify
    /// the row, split titles into two lines, truncate all texts further, and omit extra columns from the right. What is
    /// still too wide is left to the terminal, which wraps it: a row that cannot be told from others is worse.
    fn fit(&self, mut indices: Vec<usize>) -> Vec<ShownColumn> {
        let shown = self.shrink(&indices, false, &[(Which::Others, PREFERRED_WIDTH)]);
        if self.total(&shown) <= self.width {
            return self.distinct(shown);
        }
        loop {
            let shown = self.shrink(&indices, true, &[(Which::Others, MIN_WIDTH), (Which::All, PREFERRED_WIDTH)]);
            if self.total(&shown) <= self.width {
                return self.distinct(shown);
            }
            let Some(extra) = indices.iter().rposition(|index| self.columns[*index].extra) else { break };
            // BEFORE without AFTER says nothing.
            let dropped = stem(&self.columns[indices[extra]].title).to_owned();
            let also = |column: &Column| column.extra && !dropped.is_empty() && stem(&column.title) == dropped;
            let first = indices[extra];
            indices.retain(|index| *index != first && !also(&self.columns[*index]));
        }
        let steps = [(Which::Others, MIN_WIDTH), (Which::All, MIN_WIDTH), (Which::Others, 1), (Which::All, 1)];
        self.distinct(self.shrink(&indices, true, &steps))
    }

    /// Truncates a column of names elsewhere, or not at all, if two rows would look the same.
    fn distinct(&self, mut shown: Vec<ShownColumn>) -> Vec<ShownColumn> {
        for column in shown.iter_mut().filter(|column| column.cut == Cut::Middle) {
            let whole: BTreeSet<&str> = self.cells(column.index).map(|cell| cell.text.as_str()).collect();
            let collides = |column: &ShownColumn| {
                whole.iter().map(|text| column.truncate(text)).collect::<BTreeSet<_>>().len() < whole.len()
            };
            if collides(column) {
                column.cut = Cut::Before(shared_chars(&whole).saturating_sub(SHARED_SHOWN));
            }
            if collides(column) {
                column.width = whole.iter().map(|text| text.width()).max().unwrap_or(column.width);
            }
        }
        shown
    }

    fn total(&self, shown: &[ShownColumn]) -> usize {
        shown.iter().map(|column| column.width).sum::<usize>() + GAP * shown.len().saturating_sub(1)
    }

    /// The columns at their natural widths. If these are too wide, each step truncates texts, the widest first, to no
    /// less than a width. With `two_lines`, titles wider than their cells are split.
    fn shrink(&self, indices: &[usize], two_lines: bool, steps: &[(Which, usize)]) -> Vec<ShownColumn> {
        let column = |index: &usize| {
            let title = &self.columns[*index].title;
            let cells = self.cells(*index).map(|cell| cell.text.width()).max().unwrap_or(0);
            let split = two_lines && title.width() > cells;
            let title = if split { split_title(title) } else { [String::new(), title.clone()] };
            let cut = if self.columns[*index].is_name() { Cut::Middle } else { Cut::End };
            let mut shown = ShownColumn { index: *index, width: 0, title, cut };
            shown.width = shown.min_width(cells);
            shown
        };
        let mut shown: Vec<ShownColumn> = indices.iter().map(column).collect();
        let first = indices.first().copied();
        let identifies = |column: &ShownColumn| Some(column.index) == first || column.cut == Cut::Middle;
        for (which, least) in steps {
            loop {
                let over = self.total(&shown).saturating_sub(self.width);
                let may = |column: &&mut ShownColumn| {
                    column.width > column.min_width(*least)
                        && (*which == Which::All || !identifies(column))
                        && !self.columns[column.index].is_whole()
                        && self.cells(column.index).any(|cell| cell.truncatable)
                };
                let widest = shown.iter_mut().filter(may).max_by_key(|column| column.width);
                let Some(widest) = widest.filter(|_| over > 0) else { break };
                widest.width = widest.width.saturating_sub(over).max(widest.min_width(*least));
            }
        }
        shown
    }
}

/// The columns that a step may truncate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// All but the first one and names.
    Others,
    All,
}

/// What the titles of two columns about the same thing share, such as `IN USE`; empty for a title of one word.
fn stem(title: &str) -> &str {
    title.rsplit_once(' ').map_or("", |(stem, _)| stem)
}

/// Splits a title into two lines of minimum width.
fn split_title(title: &str) -> [String; 2] {
    let splits = title.match_indices(' ').map(|(at, _)| (&title[..at], &title[at + 1..]));
    let (upper, lower) = splits.min_by_key(|(upper, lower)| upper.width().max(lower.width())).unwrap_or(("", title));
    [upper.to_owned(), lower.to_owned()]
}

fn cells(record: &dyn Record) -> (Vec<Column>, Vec<Cell>) {
    let (mut columns, mut row) = (Vec::new(), Vec::new());
    record.fields(&mut |field| {
        if field.show != Visibility::Data {
            let title = field.name.to_uppercase().replace('_', " ");
            columns.push(Column { title, extra: matches!(field.show, Visibility::Table | Visibility::Spare) });
            row.push(Cell { tone: field.tone(), ..cell(&field.value) });
        }
    });
    (columns, row)
}

fn cell(value: &Value<'_>) -> Cell {
    let number = matches!(
        value,
        // Nested records are shown as their number.
        Value::Decimal(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Ordinal(_)
            | Value::Size(_)
            | Value::Millis(_)
            | Value::Records(_)
    );
    let truncatable = !number && !matches!(value, Value::Hex(_) | Value::Bool(_) | Value::Absent);
    let text = match value {
        Value::Bytes(bytes) => {
            let head = &bytes[..bytes.len().min(MAX_CELL)];
            truncate(&escape_for_terminal(head), if head.len() < bytes.len() { MAX_CELL - 1 } else { usize::MAX })
                .into_owned()
        }
        Value::Decoded { json, .. } => sanitize(json::text(json).as_bytes(), false).into_owned(),
        Value::Str(text) | Value::Word(text, _) => sanitize(text.as_bytes(), false).into_owned(),
        Value::Size(bytes) => human_bytes(*bytes),
        Value::Uint(count) => grouped(*count),
        other => {
            let mut shown = String::new();
            text::value(&mut shown, other);
            sanitize(shown.as_bytes(), false).into_owned()
        }
    };
    Cell { text, number, truncatable, tone: Tone::Neutral }
}

fn stream_row(out: &mut String, row: &[Cell], shown: &[ShownColumn], colors: bool) {
    push_cells(out, shown.iter().filter_map(|column| Some((row.get(column.index)?, column))), colors);
    out.push('\n');
}

/// Appends cells side by side, padded or truncated to their widths.
fn push_cells<'a>(
    out: &mut String,
    cells: impl Iterator<Item = (impl std::borrow::Borrow<Cell>, &'a ShownColumn)>,
    colors: bool,
) {
    // Spaces are due before the next text only, so that no line ends with any.
    let mut due = 0;
    for (index, (cell, column)) in cells.enumerate() {
        let cell = cell.borrow();
        due += if index > 0 { GAP } else { 0 };
        let text = column.truncate(&cell.text);
        let pad = column.width.saturating_sub(text.width());
        let (left, right) = if cell.number { (pad, 0) } else { (0, pad) };
        let shown = text.trim_end_matches(' ');
        due += left;
        if !shown.is_empty() {
            out.extend(std::iter::repeat_n(' ', due));
            due = 0;
            match colors {
                true => cell.tone.paint(out, shown),
                false => out.push_str(shown),
            }
        }
        due += text.len() - shown.len() + right;
    }
}

mod cut;
#[cfg(test)]
mod tests;
