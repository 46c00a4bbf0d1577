//! Progress bars on stderr, if it is a terminal.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::sanitize::sanitize;
use super::table::truncate;
use crate::plural::grouped;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Work that takes less time shows no bar.
const DELAY: Duration = Duration::from_millis(250);

/// The current bar, which is suspended while other lines are written.
pub(super) type BarSlot = Arc<Mutex<Option<ProgressBar>>>;

/// What a progress bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressUnit {
    /// Keys, or other items.
    Items,
    /// Bytes, shown in larger units.
    Bytes,
    /// Nothing: only the label is shown, cut at the width of the terminal.
    Nothing,
}

/// A progress bar, or nothing if stderr is not a terminal.
pub struct Progress {
    bar: Option<ProgressBar>,
    unit: ProgressUnit,
    slot: BarSlot,
    /// When drawing begins; `None` after that.
    due: Mutex<Option<Instant>>,
}

impl Progress {
    pub(super) fn hidden() -> Self {
        Self { bar: None, unit: ProgressUnit::Items, slot: BarSlot::default(), due: Mutex::new(None) }
    }

    pub(super) fn new(label: &'static str, total: Option<u64>, unit: ProgressUnit, slot: &BarSlot) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        bar.set_message(label);
        set_style(&bar, total.is_some(), unit);
        *lock(slot) = Some(bar.clone());
        Self { bar: Some(bar), unit, slot: Arc::clone(slot), due: Mutex::new(Some(Instant::now() + DELAY)) }
    }

    /// Whether there is a terminal to show it on.
    pub fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// Adds `n` to the count of finished items.
    pub fn inc(&self, n: u64) {
        let Some(bar) = &self.bar else { return };
        self.draw(bar);
        bar.inc(n);
    }

    /// Sets the total, once it is known.
    pub fn set_total(&self, total: Option<u64>) {
        if let (Some(bar), Some(total)) = (&self.bar, total)
            && bar.length() != Some(total)
        {
            bar.set_length(total);
            set_style(bar, true, self.unit);
        }
    }

    /// Replaces the label.
    pub fn set_label(&self, text: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            // The text may contain keys, which must not control the terminal.
            let text = text();
            let text = sanitize(text.as_bytes(), false);
            bar.set_message(match self.unit {
                ProgressUnit::Nothing => truncate(&text, usize::from(width().saturating_sub(1))).into_owned(),
                _ => text.into_owned(),
            });
        }
    }

    /// Redraws the bar of work that has no count.
    pub fn tick(&self) {
        if let Some(bar) = &self.bar {
            self.draw(bar);
            bar.tick();
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            *lock(&self.slot) = None;
        }
    }

    fn draw(&self, bar: &ProgressBar) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.is_some_and(|due| Instant::now() >= due) {
            *due = None;
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The width of the terminal.
fn width() -> u16 {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| width.0)
}

fn set_style(bar: &ProgressBar, counted: bool, unit: ProgressUnit) {
    let template = match (unit, counted) {
        (ProgressUnit::Items, true) => "{msg} {bar:24} {human_pos}/{human_len} {rate} eta {eta}",
        (ProgressUnit::Items, false) => "{msg} {spinner} {human_pos} {elapsed}",
        (ProgressUnit::Bytes, true) => {
            "{msg} {bar:16} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} eta {eta}"
        }
        (ProgressUnit::Nothing, _) => "{wide_msg}",
        (ProgressUnit::Bytes, false) => "{msg} {spinner} {binary_bytes} {elapsed}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let rate = state.per_sec().round() as u64;
            let _ = write!(out, "{}/s", grouped(rate));
        }));
    }
}

pub(super) fn lock(slot: &BarSlot) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A size with a suitable unit: `20.00 KiB`.
pub(super) fn human_bytes(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Writes while the bar is suspended.
pub(super) fn suspend<T>(slot: &BarSlot, write: impl FnOnce() -> T) -> T {
    let bar = lock(slot).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
