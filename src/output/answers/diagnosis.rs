//! The answer of `status --diagnose`: an object an endpoint, or a report laid out for people.

use std::io;

use unicode_width::UnicodeWidthStr;

use super::super::out::Out;
use super::super::progress::human_bytes;
use super::super::sanitize::sanitize;
use super::super::text;
use super::{Field, Record, Value, always, data};

/// No line of the report is wider, but for a word that is.
const WIDTH: usize = 80;
/// Where the words of a step begin.
const WORDS: usize = 27;
/// Where the facts begin, and then their values.
const FACTS: usize = 6;

/// Something learnt in a step.
#[derive(Debug)]
pub struct Fact {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it is.
    pub value: FactValue,
    /// Whether the step's detail says it already, so that people need not read it twice.
    pub told: bool,
}

/// A fact's value.
#[derive(Debug)]
pub enum FactValue {
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
    /// A number.
    Number(i64),
    /// A count.
    Count(u64),
    /// A size in bytes.
    Bytes(u64),
    /// An ID of 64 bits.
    Id(u64),
    /// A share of a hundred.
    Percent(f64),
}

impl Fact {
    /// A fact.
    pub fn new(name: &'static str, value: FactValue) -> Self {
        Self { name, value, told: false }
    }

    /// A fact that is a text.
    pub fn text(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, FactValue::Text(text.into()))
    }

    /// The same, where the detail says it.
    #[must_use]
    pub fn told(self) -> Self {
        Self { told: true, ..self }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Well.
    Done,
    /// Not well.
    Failed,
    /// It was not tried.
    Skipped,
}

/// One step to an endpoint.
pub struct StepRow<'a> {
    /// The step's name.
    pub name: &'static str,
    /// How it ended.
    pub state: StepState,
    /// How long it took, if anything was done for it.
    pub took: Option<std::time::Duration>,
    /// What it came to, in a few words.
    pub detail: &'a str,
    /// What was learnt.
    pub facts: &'a Vec<Fact>,
    /// What went wrong.
    pub error: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What was found at one endpoint.
pub struct Diagnosis<'a> {
    /// The endpoint.
    pub endpoint: &'a str,
    /// Whether every step went well.
    pub ok: bool,
    /// Whether requests are served there.
    pub serves: bool,
    /// Each step in order.
    pub steps: &'a [StepRow<'a>],
}

impl Record for Diagnosis<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(always("ok", Value::Bool(self.ok)));
        visit(always("serves", Value::Bool(self.serves)));
        visit(always("steps", Value::Records(self.steps.iter().map(|step| step as &dyn Record).collect())));
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
        let some = |text: Option<&'a String>| text.map_or(Value::Absent, |text| Value::Str(text));
        visit(always("step", Value::Str(self.name)));
        visit(always("state", Value::Str(self.state())));
        visit(always("ms", self.millis().map_or(Value::Absent, Value::Millis)));
        visit(always(
            "detail",
            Some(self.detail).filter(|detail| !detail.is_empty()).map_or(Value::Absent, Value::Str),
        ));
        visit(data("facts", Value::Record(self.facts)));
        visit(always("error", some(self.error.as_ref())));
        visit(always("remedy", some(self.remedy.as_ref())));
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
    /// Writes what was found at one endpoint: for programs as a record, for people as a report.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn diagnosis(&self, found: &Diagnosis<'_>) -> io::Result<()> {
        if self.is_data() {
            return self.one(found);
        }
        let mut report = String::new();
        self.heading(&mut report, found);
        // What was skipped for one reason is one line.
        for alike in found.steps.chunk_by(|one, next| one.state() == "skipped" && one.same_skip(next)) {
            match alike {
                [step] => self.step(&mut report, step),
                several => skipped(&mut report, several),
            }
        }
        self.bytes(report.as_bytes())?;
        self.flush()
    }

    fn heading(&self, report: &mut String, found: &Diagnosis<'_>) {
        let state = match found {
            Diagnosis { ok: true, .. } => "ok",
            Diagnosis { serves: true, .. } => "serves, and something is wrong",
            _ => "does not serve",
        };
        let line = format!("{}: {state}", harmless(found.endpoint));
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
        let words = row.error.as_ref().map_or(row.detail, String::as_str);
        report.push_str(&format!("  {state}  {:<7} {took:>10}", row.name));
        wrapped(report, WORDS - 1, words, WORDS);
        let shown = || row.facts.iter().filter(|fact| !fact.told);
        let labels = shown().map(|fact| fact.name.len() + 2).max().unwrap_or_default();
        for fact in shown() {
            let label = fact.name.replace('_', " ");
            report.push_str(&format!("{:FACTS$}{label:<labels$}", ""));
            let place = FACTS + labels;
            wrapped(report, place, &spoken(&fact.value), place);
        }
        if let Some(remedy) = &row.remedy {
            report.push_str(&format!("{:FACTS$}try:", ""));
            wrapped(report, FACTS + 4, remedy, FACTS + 5);
        }
    }

    fn colored(&self, text: &str, color: &str) -> String {
        if self.shared.bold { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn skipped(report: &mut String, rows: &[StepRow<'_>]) {
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let why = rows.first().map_or("", |row| row.detail);
    report.push_str("  skip");
    wrapped(report, FACTS, &format!("{}: {why}", names.join(", ")), FACTS + 2);
}

/// A value as people read it.
fn spoken(fact: &FactValue) -> String {
    match fact {
        FactValue::Bytes(bytes) => human_bytes(*bytes),
        FactValue::List(texts) if texts.is_empty() => "none".to_owned(),
        FactValue::List(texts) => texts.join(", "),
        FactValue::Text(words) if words.is_empty() => "(empty)".to_owned(),
        FactValue::Text(words) => words.clone(),
        other => {
            let mut shown = String::new();
            text::value(&mut shown, &value(other));
            shown
        }
    }
}

/// Certificates and servers' words may hold anything: in pipes too the report is made of plain lines.
fn harmless(text: &str) -> String {
    sanitize(text.as_bytes(), false).into_owned()
}

/// Goes on behind `at` columns with these words, further lines begin behind `indent`; ends the line.
fn wrapped(report: &mut String, at: usize, words: &str, indent: usize) {
    let words = harmless(words);
    let mut column = at;
    for word in words.split_whitespace() {
        if column + 1 + word.width() > WIDTH && column > indent {
            report.push('\n');
            report.push_str(&" ".repeat(indent));
            column = indent;
        } else if column < indent {
            report.push_str(&" ".repeat(indent - column));
            column = indent;
        } else if column > indent {
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
        wrapped(&mut report, 2, &"word ".repeat(20), 4);
        let lines: Vec<&str> = report.lines().collect();
        assert!(lines[0].starts_with("ab  word word") && lines[1].starts_with("    word"), "{report}");
        assert_eq!((lines.len(), lines.iter().map(|line| line.len()).max()), (2, Some(78)));
        let mut report = "x   ".to_owned();
        wrapped(&mut report, 4, "", 6);
        assert_eq!(report, "x\n");
        let mut report = String::new();
        wrapped(&mut report, 0, &format!("a {}", "b".repeat(90)), 2);
        assert_eq!(report, format!("  a\n  {}\n", "b".repeat(90)), "a long word is left whole, to be copied");
        let mut report = String::new();
        wrapped(&mut report, 0, "\x1b[2J", 0);
        assert_eq!(report, "\\x1b[2J\n");
    }
}
