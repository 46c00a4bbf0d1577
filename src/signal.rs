//! SIGINT, SIGTERM and SIGHUP: the first signal cancels the command, the second kills the program. What arrives right behind the
//! first one is the same request: `timeout` signals its child, and then its own process group, in which the child is too.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals as Incoming;
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Time to exit after the first signal if nothing needs cleanup: the program may hang in a write to a full pipe.
const EXIT_GRACE: Duration = Duration::from_millis(500);

/// The same signal again within this time after the first one does not count: a person needs longer for a second Ctrl-C.
const SAME_REQUEST: Duration = Duration::from_millis(100);

/// Handles the signals that end the program.
#[derive(Clone)]
pub struct Signals {
    cancel: CancellationToken,
    received: Arc<AtomicI32>,
    cleanup_pending: Arc<AtomicBool>,
    /// Receives the signals instead of this program.
    redirected: Arc<Mutex<Option<mpsc::UnboundedSender<i32>>>>,
}

/// Redirects all signals to a channel until it is dropped.
pub struct Redirection {
    signals: Signals,
    /// The signal numbers.
    pub incoming: mpsc::UnboundedReceiver<i32>,
}

impl Drop for Redirection {
    fn drop(&mut self) {
        self.signals.set_redirect(None);
    }
}

impl Signals {
    /// Starts a thread that handles the signals, so that they are handled while the runtime is blocked.
    ///
    /// # Errors
    /// The operating system refuses the handlers or the thread.
    pub fn listen() -> io::Result<Self> {
        let signals = Self {
            cancel: CancellationToken::new(),
            received: Arc::new(AtomicI32::new(0)),
            cleanup_pending: Arc::new(AtomicBool::new(false)),
            redirected: Arc::default(),
        };
        // A write beyond the limit of a file's size (ulimit -f) then fails like one to a full disk. Unlike an ignored signal,
        // a handled one is not inherited by the commands that kvadm runs.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let mut incoming = Incoming::new(handled_signals())?;
        let listener = signals.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut first: Option<(i32, Instant)> = None;
            for signal in incoming.forever() {
                if listener.redirect(signal) {
                    continue;
                }
                if first.is_some_and(|(number, since)| number == signal && since.elapsed() < SAME_REQUEST) {
                    continue;
                }
                first.get_or_insert_with(|| (signal, Instant::now()));
                if listener.received.swap(signal, Ordering::SeqCst) != 0 {
                    let _ = emulate_default_handler(signal);
                }
                listener.cancel.cancel();
                let watchdog = listener.clone();
                // Without a thread to spare, a second signal ends the program.
                let _ = thread::Builder::new().spawn(move || {
                    thread::sleep(EXIT_GRACE);
                    if !watchdog.cleanup_pending.load(Ordering::SeqCst) {
                        let _ = emulate_default_handler(signal);
                    }
                });
            }
        })?;
        Ok(signals)
    }

    /// The token that the first signal cancels.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Announces that the command must clean up: from now on the first signal only cancels, and only a second one
    /// kills the program.
    pub fn hold(&self) {
        self.cleanup_pending.store(true, Ordering::SeqCst);
    }

    /// Sends every signal to the receiver, for a child command that handles them. They no longer end this program.
    pub fn divert(&self) -> Redirection {
        let (sender, incoming) = mpsc::unbounded_channel();
        self.set_redirect(Some(sender));
        Redirection { signals: self.clone(), incoming }
    }

    fn set_redirect(&self, sender: Option<mpsc::UnboundedSender<i32>>) {
        *self.redirected.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    }

    fn redirect(&self, signal: i32) -> bool {
        let redirected = self.redirected.lock().unwrap_or_else(PoisonError::into_inner);
        redirected.as_ref().is_some_and(|sender| sender.send(signal).is_ok())
    }

    /// Handles a diverted signal as if it had not been diverted: the command is cancelled.
    pub fn receive(&self, signal: i32) {
        self.received.store(signal, Ordering::SeqCst);
        self.cancel.cancel();
    }

    /// The exit code of a program that the received signal kills; `None` if there was none.
    pub fn exit_code(&self) -> Option<u8> {
        let signal = self.received.load(Ordering::SeqCst);
        u8::try_from(signal).ok().filter(|signal| *signal > 0)?.checked_add(128)
    }

    /// Kills the program with the signal it received, so that the shell sees it; returns if there was none.
    pub fn reraise(&self) {
        let signal = self.received.load(Ordering::SeqCst);
        if signal != 0 {
            let _ = emulate_default_handler(signal);
        }
    }
}

/// Sends a signal to a process of this program's own. A process that has ended is not an error.
pub fn send(process: u32, number: i32) {
    if let (Ok(process), Ok(signal)) = (i32::try_from(process), Signal::try_from(number)) {
        let _ = kill(Pid::from_raw(process), signal);
    }
}

/// The signals to handle: all except those ignored when the program started (`nohup`).
fn handled_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0).collect()
}
/// Waits until the cancellation, and this long after it.
pub fn after_cancel(cancel: &CancellationToken, time: Duration) -> impl Future<Output = ()> + use<> {
    let cancel = cancel.clone();
    async move {
        cancel.cancelled().await;
        tokio::time::sleep(time).await;
    }
}

/// Waits for the terminal to change its size.
pub struct Resizes(Option<tokio::signal::unix::Signal>);

impl Resizes {
    /// Listens from now on, on the current runtime. Without a handler to spare, no change is reported.
    pub fn listen() -> Self {
        Self(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change()).ok())
    }

    /// The next change. Cancel-safe.
    pub async fn next(&mut self) {
        let changed = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if changed.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
