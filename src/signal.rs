//! SIGINT, SIGTERM and SIGHUP: the first asks the program to end, the second ends it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Incoming;
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long the program may take to notice the first signal where it has nothing to clean up: it may be stuck in
/// a write to a pipe that nobody reads.
const EXIT_GRACE: Duration = Duration::from_millis(500);

/// The signals that ask the program to end.
#[derive(Clone)]
pub struct Signals {
    cancel: CancellationToken,
    received: Arc<AtomicI32>,
    cleanup_pending: Arc<AtomicBool>,
    /// Who gets the signals in place of this program.
    redirected: Arc<Mutex<Option<mpsc::UnboundedSender<i32>>>>,
}

/// The signals go to somebody else as long as this lives.
pub struct Redirection {
    signals: Signals,
    /// Where they come.
    pub incoming: mpsc::UnboundedReceiver<i32>,
}

impl Drop for Redirection {
    fn drop(&mut self) {
        self.signals.set_redirect(None);
    }
}

impl Signals {
    /// Begins to listen, on a thread of its own, so that a blocked runtime does not keep a signal from being listener.
    ///
    /// # Errors
    /// The operating system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        let signals = Self {
            cancel: CancellationToken::new(),
            received: Arc::new(AtomicI32::new(0)),
            cleanup_pending: Arc::new(AtomicBool::new(false)),
            redirected: Arc::default(),
        };
        let mut incoming = Incoming::new(handled_signals())?;
        let listener = signals.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in incoming.forever() {
                if listener.redirect(signal) {
                    continue;
                }
                if listener.received.swap(signal, Ordering::SeqCst) != 0 {
                    let _ = emulate_default_handler(signal);
                }
                listener.cancel.cancel();
                let watchdog = listener.clone();
                thread::spawn(move || {
                    thread::sleep(EXIT_GRACE);
                    if !watchdog.cleanup_pending.load(Ordering::SeqCst) {
                        let _ = emulate_default_handler(signal);
                    }
                });
            }
        })?;
        Ok(signals)
    }

    /// Cancelled by the first signal.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Says that there is something to clean up: the first signal only cancels from now on, and only a second one
    /// ends the program.
    pub fn hold(&self) {
        self.cleanup_pending.store(true, Ordering::SeqCst);
    }

    /// Has every signal go to the receiver from now on, for a command that runs in this program's place. None of them
    /// ends this program then.
    pub fn divert(&self) -> Redirection {
        let (sender, incoming) = mpsc::unbounded_channel();
        self.set_redirect(Some(sender));
        Redirection { signals: self.clone(), incoming }
    }

    fn set_redirect(&self, whom: Option<mpsc::UnboundedSender<i32>>) {
        *self.redirected.lock().unwrap_or_else(PoisonError::into_inner) = whom;
    }

    fn redirect(&self, signal: i32) -> bool {
        let redirected = self.redirected.lock().unwrap_or_else(PoisonError::into_inner);
        redirected.as_ref().is_some_and(|sender| sender.send(signal).is_ok())
    }

    /// Ends the program by the signal that was received, so that the shell sees it; returns where there was none.
    pub fn reraise(&self) {
        let signal = self.received.load(Ordering::SeqCst);
        if signal != 0 {
            let _ = emulate_default_handler(signal);
        }
    }
}

/// What is listened for, without what this program was told to ignore when it was started, as `nohup` does.
fn handled_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0).collect()
}
