//! The only place that writes. Data goes to stdout, everything else to stderr.

mod allocated;
mod allocations;
pub mod answers;
pub mod bytes;
mod decode;
mod error;
mod event;
mod gc;
pub mod json;
mod locks;
mod metadata;
mod progress;
mod raw;
mod record;
mod sanitize;
mod settings;
mod sink;
mod table;
mod text;
mod tree;
mod yaml;

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use allocated::{AllocatedRow, ReleasedRow, RenewedRow};
pub use allocations::{AllocationEvent, FoundRow, IdRow, KeyOfRow, NodeRow, ProblemRow};
pub use answers::{
    CompactAnswer, Count, DeleteAnswer, DeletedRow, Diagnosis, LeaseKeys, LeaseRow, LoadAnswer, MemberRow, Named,
    PutAnswer, RevisionOnly, RoundRow, SettingRow, SpaceRow, StatusAnswer, StepRow, TxnAnswer,
};
pub use error::ErrorView;
pub use event::{EventRow, Kind, StatusRow};
pub use gc::{GcRound, IdGarbageRow, LockGarbageRow, Swept};
pub use locks::{LockAnswer, LockRow};
pub use metadata::{Explained, FindingRow, GcPart, GcPhase, Hop, MetadataRow, PartSwept};
pub use progress::Progress;
pub use record::{Field, KeyOnly, Leased, Record, RecordError, RecordIn, Show, Value, key_of_record};
pub use settings::{ColorChoice, Format, Settings};
pub use sink::Sink;
pub use tree::{BranchRow, UsageRow};

use crate::proto::Codec;
use decode::{Fault, Translated};
use progress::Slot;

/// What is written before it goes to the operating system.
const BUFFER: usize = 64 << 10;
/// Values that cannot be decoded are warned of one by one so many times.
const SHOWN_FAULTS: u64 = 10;

/// What the user said when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// Go ahead.
    Yes,
    /// Leave it.
    No,
    /// There is nobody to ask.
    NoTerminal,
}

/// An answer of several parts: one object in JSON and YAML, rows in text and tables.
pub trait Report: Record {
    /// The rows.
    fn rows(&self) -> Vec<Box<dyn Record + '_>>;
    /// Whether all rows have the same fields, so that a table can hold them.
    fn tabular(&self) -> bool;
    /// What is said beside the data, a warning each.
    fn remarks(&self) -> &[String] {
        &[]
    }
}

/// The process's streams. Cheap to clone.
#[derive(Clone)]
pub struct Out {
    shared: Arc<Shared>,
}

struct Shared {
    format: Format,
    terminal: bool,
    width: usize,
    bold: bool,
    colored_errors: bool,
    quiet: bool,
    verbosity: u8,
    bars: bool,
    stdout: Mutex<Stdout>,
    slot: Slot,
    codec: OnceLock<Arc<Codec>>,
    /// How many values could not be decoded.
    faults: AtomicU64,
}

struct Stdout {
    file: Option<File>,
    buffer: Vec<u8>,
    text: String,
    /// The bar that has to stand aside, where stdout is a terminal as well.
    slot: Option<Slot>,
}

impl Stdout {
    /// Hands the buffer to the operating system.
    fn drain(&mut self) -> io::Result<()> {
        let (file, buffer) = (&mut self.file, &self.buffer);
        let mut write = || file.as_mut().map_or(Ok(()), |file| file.write_all(buffer));
        let result = match &self.slot {
            Some(slot) if !buffer.is_empty() => progress::aside(slot, write),
            _ => write(),
        };
        self.buffer.clear();
        if result.is_err() {
            // Nothing is written behind a failed write.
            self.file = None;
        }
        result
    }

    fn put_text(&mut self) -> io::Result<()> {
        self.buffer.extend_from_slice(self.text.as_bytes());
        self.text.clear();
        self.put(&[])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.drain() } else { Ok(()) }
    }
}

impl Out {
    /// Takes the process's streams.
    pub fn new(settings: Settings) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let err_terminal = io::stderr().is_terminal();
        let format = settings.format.unwrap_or(if terminal { Format::Table } else { Format::Text });
        let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)).max(20);
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let slot = Slot::default();
        let shared = Shared {
            format,
            terminal,
            width: if terminal { width } else { 160 },
            bold: settings.color.on(terminal),
            colored_errors: settings.color.on(err_terminal),
            quiet: settings.quiet,
            verbosity: settings.verbosity,
            bars: settings.progress && !settings.quiet && settings.verbosity < 2 && err_terminal && !dumb,
            stdout: Mutex::new(Stdout {
                file: stdout.as_fd().try_clone_to_owned().ok().map(File::from),
                buffer: Vec::new(),
                text: String::new(),
                slot: terminal.then(|| Arc::clone(&slot)),
            }),
            slot,
            codec: OnceLock::new(),
            faults: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    fn stdout(&self) -> MutexGuard<'_, Stdout> {
        self.shared.stdout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one answer.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn one(&self, record: &dyn Record) -> io::Result<()> {
        let mut sink = Sink::plain(self);
        sink.push(record)?;
        sink.finish()
    }

    /// Writes one key's value: its bytes and a newline; made harmless on a terminal; alone in raw; the whole record
    /// in JSON and YAML.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn value(&self, record: &crate::kvstore::KeyValue) -> io::Result<()> {
        let value = &record.value;
        if let Some(translated) = self.translated(record).filter(|_| !self.is_data()) {
            self.complain(&translated.faults);
            if let Some(json) = translated.json() {
                let text = json::text(json) + "\n";
                return self.bytes(sanitize::sanitize(text.as_bytes(), true).as_bytes());
            }
        }
        match self.shared.format {
            Format::Json | Format::Yaml | Format::Raw => self.one(record),
            Format::Text | Format::Table if self.shared.terminal => {
                self.bytes(sanitize::sanitize(value, true).as_bytes())?;
                self.bytes(b"\n")
            }
            Format::Text | Format::Table => {
                self.bytes(value)?;
                self.bytes(b"\n")
            }
        }
    }

    /// From here on values are decoded, except in raw.
    pub fn decode_with(&self, codec: Arc<Codec>) {
        // Whoever came first has read the same command line.
        let _ = self.shared.codec.set(codec);
    }

    fn translated<'a>(&self, record: &'a dyn Record) -> Option<Translated<'a>> {
        let codec = self.shared.codec.get().filter(|_| self.shared.format != Format::Raw)?;
        Some(Translated::of(record, codec))
    }

    /// Warns of values that are not shown as messages, or not whole; of a few, not of a million.
    fn complain(&self, faults: &[Fault]) {
        for fault in faults {
            match self.shared.faults.fetch_add(1, Ordering::Relaxed) {
                n if n < SHOWN_FAULTS => {
                    let end = if fault.fatal { "it is shown as bytes" } else { "they are not shown" };
                    self.warn(&format!("{} of {}: {}: {end}", fault.field, bytes::escape(&fault.key), fault.what));
                }
                SHOWN_FAULTS => self.warn("more values cannot be decoded, or not wholly; they are not named"),
                _ => {}
            }
        }
    }

    /// Whether programs read the answer, field by field.
    pub fn is_data(&self) -> bool {
        matches!(self.shared.format, Format::Json | Format::Yaml)
    }

    /// Begins many records.
    pub fn stream(&self) -> Sink {
        Sink::new(self)
    }

    /// Writes an answer of several parts; its remarks go to stderr.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn report(&self, report: &dyn Report) -> io::Result<()> {
        if self.is_data() {
            let mut line = Vec::new();
            let translated = self.translated(report);
            self.complain(translated.as_ref().map_or(&[], |translated| &translated.faults));
            let record: &dyn Record = translated.as_ref().map_or(report, |translated| translated);
            match self.shared.format {
                Format::Yaml => yaml::document(&mut line, record),
                _ => json::line(&mut line, record),
            }
            self.bytes(&line)?;
            return self.flush();
        }
        let mut sink = if report.tabular() { Sink::new(self) } else { Sink::plain(self) };
        for row in report.rows() {
            sink.push(row.as_ref())?;
        }
        sink.finish()?;
        for remark in report.remarks() {
            self.warn(remark);
        }
        Ok(())
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        self.stdout().put(bytes)
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn flush(&self) -> io::Result<()> {
        self.stdout().drain()
    }

    /// Says something that is good to know.
    pub fn note(&self, text: &str) {
        if !self.shared.quiet {
            self.say("note", "36", text);
        }
    }

    /// Says something that may be wrong.
    pub fn warn(&self, text: &str) {
        if !self.shared.quiet {
            self.say("warning", "33", text);
        }
    }

    /// Says what was decided, with `-v`.
    pub fn detail(&self, text: &str) {
        if self.shared.verbosity >= 1 {
            self.say("info", "2", text);
        }
    }

    /// Says what was requested, with `-vv`.
    pub fn trace(&self, text: &str) {
        if self.traces() {
            self.say("trace", "2", text);
        }
    }

    /// Whether [`Out::trace`] says anything.
    pub fn traces(&self) -> bool {
        self.shared.verbosity >= 2
    }

    /// Shows why the program fails: lines, or one object in JSON.
    pub fn error(&self, view: &ErrorView) {
        if self.shared.format == Format::Json {
            let mut line = Vec::new();
            json::line(&mut line, view);
            self.stderr(&line);
            return;
        }
        self.say("error", "1;31", &view.error);
        for cause in &view.caused_by {
            self.say("caused by", "31", cause);
        }
        for hint in &view.hints {
            self.say("hint", "36", hint);
        }
    }

    /// Says how a job went: a note for each line, or one object in JSON.
    pub fn summary(&self, record: &dyn Record, words: &str) {
        if self.shared.format != Format::Json {
            words.lines().for_each(|line| self.note(line));
        } else if !self.shared.quiet {
            let mut line = Vec::new();
            json::line(&mut line, record);
            self.stderr(&line);
        }
    }

    fn say(&self, word: &str, color: &str, text: &str) {
        // Server texts and keys may be in it: what a terminal would obey is made visible.
        let text = sanitize::sanitize(text.as_bytes(), false);
        let line = if self.shared.colored_errors {
            format!("\x1b[{color}m{word}:\x1b[0m {text}\n")
        } else {
            format!("{word}: {text}\n")
        };
        self.stderr(line.as_bytes());
    }

    fn stderr(&self, bytes: &[u8]) {
        // Where stderr is gone, nobody can be told so.
        progress::aside(&self.shared.slot, || {
            let _ = io::stderr().lock().write_all(bytes);
        });
    }

    /// A bar, if somebody looks at stderr.
    pub fn progress(&self, label: &'static str, total: Option<u64>) -> Progress {
        if self.shared.bars { Progress::new(label, total, &self.shared.slot) } else { Progress::hidden() }
    }

    /// Whether stdout is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.shared.terminal
    }

    /// Whether the answer is JSON.
    pub fn is_json(&self) -> bool {
        self.shared.format == Format::Json
    }

    /// Asks for a yes.
    pub fn confirm(&self, question: &str) -> Confirm {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Confirm::NoTerminal;
        }
        let question = sanitize::sanitize(question.as_bytes(), false);
        self.stderr(format!("{question}? [y/N] ").as_bytes());
        let mut answer = String::new();
        match io::stdin().lock().read_line(&mut answer) {
            Ok(_) if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") => Confirm::Yes,
            _ => Confirm::No,
        }
    }
}
