//! Output of `status --diagnose`: one object per endpoint, or a report.

use std::io;

use unicode_width::UnicodeWidthStr;

use super::super::out::Out;
use super::super::progress::human_bytes;
use super::super::sanitize::sanitize;
use super::super::text;
use super::{Field, Record, Value, always, data};

/// Maximum width of a line; only a longer word exceeds it.
const WIDTH: usize = 80;
/// The column of a step's description.
const DETAIL_COLUMN: usize = 27;
/// The column of a step's facts.
const FACT_COLUMN: usize = 6;

/// A fact found in a step.
#[derive(Debug)]
pub struct Fact {
    /// The fact's name in JSON.
    pub name: &'static str,
    /// The fact's value.
    pub value: FactValue,
    /// Whether the step's description contains it, so that the report omits it.
    pub in_detail: bool,
}

/// A fact's value.
#[derive(Debug)]
pub enum FactValue {
    /// A string.
    Text(String),
    /// Several strings.
    List(Vec<String>),
    /// A number.
    Number(i64),
    /// A count.
    Count(u64),
    /// A size in bytes.
    Bytes(u64),
    /// A 64-bit ID.
    Id(u64),
    /// A percentage.
    Percent(f64),
}

impl Fact {
    /// Creates a fact.
    pub fn new(name: &'static str, value: FactValue) -> Self {
        Self { name, value, in_detail: false }
    }

    /// Creates a fact with a string value.
    pub fn text(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, FactValue::Text(text.into()))
    }

    /// Marks a fact that the step's description contains.
    #[must_use]
    pub fn in_detail(self) -> Self {
        Self { in_detail: true, ..self }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// It was not attempted.
    Skipped,
}

/// One step of connecting to an endpoint.
pub struct StepRow<'a> {
    /// The step's name.
    pub name: &'static str,
    /// How it ended.
    pub state: StepState,
    /// The duration, if the step was attempted.
    pub took: Option<std::time::Duration>,
    /// A short description of the result.
    pub detail: &'a str,
    /// The facts found.
    pub facts: &'a Vec<Fact>,
    /// The error.
    pub error: Option<String>,
    /// What to do next.
    pub remedy: Option<String>,
}

/// The diagnosis of one endpoint.
pub struct Diagnosis<'a> {
    /// The endpoint, or `configuration` for the checks of files.
    pub endpoint: &'a str,
    /// Whether every step succeeded.
    pub ok: bool,
    /// Whether the endpoint serves requests.
    pub serves: bool,
    /// The steps in order.
    pub steps: &'a [StepRow<'a>],
}

impl Record for Diagnosis<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(always("ok", Value::Bool(self.ok)));
        visit(always("serves", Value::Bool(self.serves)));
        visit(always("steps", Value::records(self.steps.iter())));
    }
}

impl StepRow<'_> {
    fn state(&self) -> &'static str {
        match self.state {
            StepState::Done => "ok",
            StepState::Failed => "failed",
            StepState::Skipped => "skipped",
        }
    }

    fn same_skip(&self, other: &Self) -> bool {
        other.state() == "skipped" && self.detail == other.detail
    }

    fn millis(&self) -> Option<f64> {
        self.took.map(|took| took.as_secs_f64() * 1e3)
    }
}

impl Record for StepRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("step", Value::Str(self.name)));
        visit(always("state", Value::Str(self.state())));
        visit(always("ms", self.millis().map_or(Value::Absent, Value::Millis)));
        visit(always("detail", Value::str(Some(self.detail).filter(|detail| !detail.is_empty()))));
        visit(data("facts", Value::Record(self.facts)));
        visit(always("error", Value::str(self.error.as_deref())));
        visit(always("remedy", Value::str(self.remedy.as_deref())));
    }
}

impl Record for Vec<Fact> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        for fact in self {
            visit(data(fact.name, value(&fact.value)));
        }
    }
}

fn value(value: &FactValue) -> Value<'_> {
    match value {
        FactValue::Text(text) => Value::Str(text),
        FactValue::List(texts) => Value::Strings(texts),
        FactValue::Number(number) => Value::Int(*number),
        FactValue::Count(count) => Value::Uint(*count),
        FactValue::Bytes(bytes) => Value::Size(*bytes),
        FactValue::Id(id) => Value::Hex(*id),
        FactValue::Percent(share) => Value::Millis(*share),
    }
}

impl Out {
    /// Writes the diagnosis of one endpoint: a record in JSON and YAML, otherwise a report.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn diagnosis(&self, found: &Diagnosis<'_>) -> io::Result<()> {
        if self.is_data() {
            return self.one(found);
        }
        let mut report = String::new();
        self.heading(&mut report, found);
        // Steps skipped for the same reason share a line.
        for alike in found.steps.chunk_by(|one, next| one.state() == "skipped" && one.same_skip(next)) {
            match alike {
                [step] => self.step(&mut report, step),
                several => push_skipped(&mut report, several),
            }
        }
        self.bytes(report.as_bytes())?;
        self.flush()
    }

    fn heading(&self, report: &mut String, found: &Diagnosis<'_>) {
        let state = match found {
            Diagnosis { ok: true, .. } => "ok",
            Diagnosis { endpoint: "configuration", .. } => "there are problems",
            Diagnosis { serves: true, .. } => "serves requests, but there are problems",
            _ => "does not serve requests",
        };
        let line = format!("{}: {state}", sanitized(found.endpoint));
        report.push_str(&self.colored(&line, "1"));
        report.push('\n');
    }

    fn step(&self, report: &mut String, row: &StepRow<'_>) {
        let state = match row.state {
            StepState::Done => "ok  ".to_owned(),
            StepState::Failed => self.colored("FAIL", "1;31"),
            StepState::Skipped => "skip".to_owned(),
        };
        let took = row.millis().map_or_else(String::new, |millis| format!("{millis:.1} ms"));
        let detail = row.error.as_ref().map_or(row.detail, String::as_str);
        report.push_str(&format!("  {state}  {:<7} {took:>10}", row.name));
        push_wrapped(report, DETAIL_COLUMN - 1, detail, DETAIL_COLUMN);
        let shown = || row.facts.iter().filter(|fact| !fact.in_detail);
        let labels = shown().map(|fact| fact.name.len() + 2).max().unwrap_or_default();
        for fact in shown() {
            let label = fact.name.replace('_', " ");
            report.push_str(&format!("{:FACT_COLUMN$}{label:<labels$}", ""));
            let column = FACT_COLUMN + labels;
            push_wrapped(report, column, &format_fact(&fact.value), column);
        }
        if let Some(remedy) = &row.remedy {
            report.push_str(&format!("{:FACT_COLUMN$}try:", ""));
            push_wrapped(report, FACT_COLUMN + 4, remedy, FACT_COLUMN + 5);
        }
    }

    pub(super) fn colored(&self, text: &str, color: &str) -> String {
        if self.shared.bold { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn push_skipped(report: &mut String, rows: &[StepRow<'_>]) {
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let why = rows.first().map_or("", |row| row.detail);
    report.push_str("  skip");
    push_wrapped(report, FACT_COLUMN, &format!("{}: {why}", names.join(", ")), FACT_COLUMN + 2);
}

/// A fact's value as text.
fn format_fact(fact: &FactValue) -> String {
    match fact {
        FactValue::Bytes(bytes) => human_bytes(*bytes),
        FactValue::List(texts) if texts.is_empty() => "none".to_owned(),
        FactValue::List(texts) => texts.join(", "),
        FactValue::Text(text) if text.is_empty() => "(empty)".to_owned(),
        FactValue::Text(text) => text.clone(),
        other => {
            let mut shown = String::new();
            text::value(&mut shown, &value(other));
            shown
        }
    }
}

/// Sanitizes text from certificates and servers. Unlike data, the report is sanitized in pipes too.
fn sanitized(text: &str) -> String {
    sanitize(text.as_bytes(), false).into_owned()
}

/// Appends text after `at` columns, wraps it to lines indented by `indent`, and ends the last line.
pub(super) fn push_wrapped(report: &mut String, at: usize, text: &str, indent: usize) {
    let text = sanitized(text);
    let mut column = at;
    for word in text.split_whitespace() {
        // The first word keeps its distance from a label that ends at the indent.
        let touches = column == indent && column > 0 && !report.ends_with([' ', '\n']);
        if column + 1 + word.width() > WIDTH && column > indent {
            report.push('\n');
            report.push_str(&" ".repeat(indent));
            column = indent;
        } else if column < indent {
            report.push_str(&" ".repeat(indent - column));
            column = indent;
        } else if column > indent || touches {
            report.push(' ');
            column += 1;
        }
        report.push_str(word);
        column += word.width();
    }
    let end = report.trim_end_matches(' ').len();
    report.truncate(end);
    report.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_behind_their_place() {
        let mut report = "ab".to_owned();
        push_wrapped(&mut report, 2, &"word ".repeat(20), 4);
        let lines: Vec<&str> = report.lines().collect();
        assert!(lines[0].starts_with("ab  word word") && lines[1].starts_with("    word"), "{report}");
        assert_eq!((lines.len(), lines.iter().map(|line| line.len()).max()), (2, Some(78)));
        let mut report = "x   ".to_owned();
        push_wrapped(&mut report, 4, "", 6);
        assert_eq!(report, "x\n");
        let mut report = String::new();
        push_wrapped(&mut report, 0, &format!("a {}", "b".repeat(90)), 2);
        assert_eq!(report, format!("  a\n  {}\n", "b".repeat(90)), "a long word is left whole, to be copied");
        let mut report = String::new();
        push_wrapped(&mut report, 0, "\x1b[2J", 0);
        assert_eq!(report, "\\x1b[2J\n");
    }
}
