//! The output streams: data on stdout, everything else on stderr.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::decode::{DecodeFault, DecodedRecord};
use super::error::ErrorView;
use super::progress::{self, BarSlot, Progress, ProgressUnit};
use super::record::Record;
use super::screen_state::ScreenState;
use super::settings::{Format, Settings, is_dumb_terminal};
use super::{bytes, json, sanitize};
use crate::proto::Codec;

/// Output is buffered up to this size.
const BUFFER_BYTES: usize = 64 << 10;
/// Number of undecodable values with a warning each.
const SHOWN_FAULTS: u64 = 10;

/// The output streams. Cheap to clone.
#[derive(Clone)]
pub struct Out {
    pub(super) shared: Arc<OutShared>,
}

pub(super) struct OutShared {
    pub(super) format: Format,
    pub(super) terminal: bool,
    width: AtomicUsize,
    err_terminal: bool,
    pub(super) screen: Mutex<ScreenState>,
    pub(super) bold: bool,
    pub(super) colored_errors: bool,
    quiet: bool,
    verbosity: u8,
    bars: bool,
    stdout: Mutex<Stdout>,
    slot: BarSlot,
    codec: OnceLock<Arc<Codec>>,
    /// Number of undecodable values.
    faults: AtomicU64,
}

pub(super) struct Stdout {
    file: Option<Box<dyn Write + Send>>,
    pub(super) buffer: Vec<u8>,
    pub(super) text: String,
    /// Width of the widest key on the live lines so far.
    pub(super) live_key_width: usize,
    /// The round of a screen that is being drawn.
    pub(super) frame: Option<Vec<u8>>,
    /// The bar to suspend, if stdout is a terminal too.
    slot: Option<BarSlot>,
}

impl Stdout {
    /// Writes the buffer to the operating system.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        if let Some(frame) = &mut self.frame {
            frame.append(&mut self.buffer);
            return Ok(());
        }
        let (file, buffer) = (&mut self.file, &self.buffer);
        let mut write = || file.as_mut().map_or(Ok(()), |file| file.write_all(buffer).and_then(|()| file.flush()));
        let result = match &self.slot {
            Some(slot) if !buffer.is_empty() => progress::suspend(slot, write),
            _ => write(),
        };
        self.buffer.clear();
        if result.is_err() {
            // Nothing is written after a failed write.
            self.file = None;
        }
        result
    }

    pub(super) fn put_text(&mut self) -> io::Result<()> {
        self.buffer.extend_from_slice(self.text.as_bytes());
        self.text.clear();
        self.put(&[])
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.drain() } else { Ok(()) }
    }
}

impl Out {
    /// Opens the process's streams.
    pub fn new(settings: Settings) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let err_terminal = io::stderr().is_terminal();
        let format = settings.format.unwrap_or(if terminal { Format::Table } else { Format::Text });
        let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)).max(20);
        let slot = BarSlot::default();
        let shared = OutShared {
            format,
            terminal,
            width: AtomicUsize::new(if terminal { width } else { 160 }),
            err_terminal,
            screen: Mutex::default(),
            bold: settings.color.on(terminal),
            colored_errors: settings.color.on(err_terminal),
            quiet: settings.quiet,
            verbosity: settings.verbosity,
            bars: settings.progress && !settings.quiet && settings.verbosity < 2 && err_terminal && !is_dumb_terminal(),
            stdout: Mutex::new(Stdout {
                // Without a spare descriptor, the standard library's own buffer lies between.
                file: Some(match stdout.as_fd().try_clone_to_owned() {
                    Ok(copy) => Box::new(File::from(copy)),
                    Err(_) => Box::new(stdout),
                }),
                buffer: Vec::new(),
                text: String::new(),
                live_key_width: 0,
                frame: None,
                slot: terminal.then(|| Arc::clone(&slot)),
            }),
            slot,
            codec: OnceLock::new(),
            faults: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn stdout(&self) -> MutexGuard<'_, Stdout> {
        self.shared.stdout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The width of a table.
    pub(super) fn width(&self) -> usize {
        self.shared.width.load(Ordering::Relaxed)
    }

    pub(super) fn set_width(&self, width: usize) {
        self.shared.width.store(width, Ordering::Relaxed);
    }

    /// Decodes values with this codec from now on, except in raw.
    pub fn decode_with(&self, codec: Arc<Codec>) {
        // An earlier codec comes from the same command line.
        let _ = self.shared.codec.set(codec);
    }

    pub(super) fn decoded<'a>(&self, record: &'a dyn Record) -> Option<DecodedRecord<'a>> {
        let codec = self.shared.codec.get().filter(|_| self.shared.format != Format::Raw)?;
        Some(DecodedRecord::of(record, codec))
    }

    /// Warns of values that cannot be decoded, or only in part; a warning each for the first ones.
    pub(super) fn warn_faults(&self, faults: &[DecodeFault]) {
        for fault in faults {
            match self.shared.faults.fetch_add(1, Ordering::Relaxed) {
                n if n < SHOWN_FAULTS => {
                    let end = if fault.fatal { ": the value is shown as bytes" } else { "" };
                    self.warn(&format!("{} of {}: {}{end}", fault.field, bytes::escape(&fault.key), fault.what));
                }
                SHOWN_FAULTS => self.warn("more values cannot be decoded completely; further warnings are omitted"),
                _ => {}
            }
        }
    }

    /// Whether the format is JSON or YAML.
    pub fn is_data(&self) -> bool {
        matches!(self.shared.format, Format::Json | Format::Yaml)
    }

    /// Whether the format is raw: the exact bytes of values.
    pub fn is_raw(&self) -> bool {
        self.shared.format == Format::Raw
    }

    /// Writes bytes unchanged.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        self.stdout().put(bytes)
    }

    /// Writes everything to the operating system.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn flush(&self) -> io::Result<()> {
        self.stdout().drain()
    }

    /// Prints a note.
    pub fn note(&self, text: &str) {
        if !self.shared.quiet {
            self.print_line("note", "36", text);
        }
    }

    /// Whether [`Out::note`] prints anything.
    pub fn notes(&self) -> bool {
        !self.shared.quiet
    }

    /// Prints a warning.
    pub fn warn(&self, text: &str) {
        if !self.shared.quiet {
            self.print_line("warning", "33", text);
        }
    }

    /// Prints a warning that `--quiet` does not suppress.
    pub fn warn_always(&self, text: &str) {
        self.print_line("warning", "33", text);
    }

    /// Prints a detail with `-v`.
    pub fn detail(&self, text: &str) {
        if self.details() {
            self.print_line("info", "2", text);
        }
    }

    /// Whether [`Out::detail`] prints anything.
    pub fn details(&self) -> bool {
        self.shared.verbosity >= 1
    }

    /// Prints a request trace with `-vv`.
    pub fn trace(&self, text: &str) {
        if self.traces() {
            self.print_line("trace", "2", text);
        }
    }

    /// Whether [`Out::trace`] prints anything.
    pub fn traces(&self) -> bool {
        self.shared.verbosity >= 2
    }

    /// Prints an error as lines, or as one object in JSON.
    pub fn error(&self, view: &ErrorView) {
        if self.shared.format == Format::Json {
            let mut line = Vec::new();
            json::line(&mut line, view);
            self.stderr(&line);
            return;
        }
        self.print_line("error", "1;31", &view.error);
        for cause in &view.caused_by {
            self.print_line("caused by", "31", cause);
        }
        for hint in &view.hints {
            self.print_line("hint", "36", hint);
        }
    }

    /// Prints a summary to stderr: a note for each line of text, or one object in JSON. The object is data, which `--quiet`
    /// does not suppress.
    pub fn summary(&self, record: &dyn Record, text: &str) {
        if self.shared.format != Format::Json {
            text.lines().for_each(|line| self.note(line));
        } else {
            let mut line = Vec::new();
            json::line(&mut line, record);
            self.stderr(&line);
        }
    }

    /// Prints a note without a label, but not in JSON.
    pub fn plain_note(&self, text: &str) {
        if !self.shared.quiet && self.shared.format != Format::Json {
            self.stderr(format!("{}\n", sanitize::sanitize(text.as_bytes(), false)).as_bytes());
        }
    }

    fn print_line(&self, label: &str, color: &str, text: &str) {
        // The text may contain server messages and keys, which must not control the terminal.
        let text = sanitize::sanitize(text.as_bytes(), false);
        let line = if self.shared.colored_errors {
            format!("\x1b[{color}m{label}:\x1b[0m {text}\n")
        } else {
            format!("{label}: {text}\n")
        };
        self.stderr(line.as_bytes());
    }

    pub(super) fn stderr(&self, bytes: &[u8]) {
        let kept = |state: &mut ScreenState| state.keep(&String::from_utf8_lossy(bytes));
        if self.shared.err_terminal && !self.with_screen(kept) {
            return;
        }
        // A failed write to stderr cannot be reported anywhere.
        progress::suspend(&self.shared.slot, || {
            let _ = io::stderr().lock().write_all(bytes);
        });
    }

    /// Starts a progress bar, which is hidden if stderr is not a terminal.
    pub fn progress(&self, label: &'static str, total: Option<u64>) -> Progress {
        self.progress_of(label, total, ProgressUnit::Items)
    }

    /// As [`Out::progress`], counting bytes.
    pub fn progress_bytes(&self, label: &'static str, total: Option<u64>) -> Progress {
        self.progress_of(label, total, ProgressUnit::Bytes)
    }

    /// A line about a wait, which is redrawn in place.
    pub fn waiting(&self) -> Progress {
        self.progress_of("", None, ProgressUnit::Nothing)
    }

    fn progress_of(&self, label: &'static str, total: Option<u64>, unit: ProgressUnit) -> Progress {
        if self.shared.bars { Progress::new(label, total, unit, &self.shared.slot) } else { Progress::hidden() }
    }

    /// Standard output for a stream of bytes that is written from another thread, which the output's own buffer must not
    /// wait for. What was printed before is written first.
    ///
    /// # Errors
    /// The stream is closed or full, or the system refuses a descriptor.
    pub fn byte_stream(&self) -> io::Result<File> {
        self.flush()?;
        io::stdout().as_fd().try_clone_to_owned().map(File::from)
    }

    /// Whether stdout is a terminal that shows tables: what is printed there is for people only.
    pub fn is_for_people(&self) -> bool {
        self.shared.terminal && self.shared.format == Format::Table
    }

    /// Whether stdout is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.shared.terminal
    }

    /// The standard output of a program that talks to the user: the terminal, or stderr if stdout is for data.
    ///
    /// # Errors
    /// The system refuses a descriptor.
    pub fn stdout_of_programs(&self) -> io::Result<Stdio> {
        if self.shared.terminal {
            return Ok(Stdio::inherit());
        }
        Ok(io::stderr().as_fd().try_clone_to_owned()?.into())
    }

    /// Whether the format is text.
    pub fn is_text(&self) -> bool {
        self.shared.format == Format::Text
    }

    /// Whether the format is JSON.
    pub fn is_json(&self) -> bool {
        self.shared.format == Format::Json
    }
}
