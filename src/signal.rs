//! SIGINT, SIGTERM and SIGHUP: the first asks the program to end, the second ends it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Incoming;
use signal_hook::low_level::emulate_default_handler;
use tokio_util::sync::CancellationToken;

/// How long the program may take to notice the first signal where it has nothing to clean up: it may be stuck in
/// a write to a pipe that nobody reads.
const NOTICE: Duration = Duration::from_millis(500);

/// The signals that ask the program to end.
#[derive(Clone)]
pub struct Signals {
    cancel: CancellationToken,
    received: Arc<AtomicI32>,
    held: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to listen, on a thread of its own, so that a blocked runtime does not keep a signal from being seen.
    ///
    /// # Errors
    /// The operating system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        let signals = Self {
            cancel: CancellationToken::new(),
            received: Arc::new(AtomicI32::new(0)),
            held: Arc::new(AtomicBool::new(false)),
        };
        let mut incoming = Incoming::new([SIGINT, SIGTERM, SIGHUP])?;
        let seen = signals.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in incoming.forever() {
                if seen.received.swap(signal, Ordering::SeqCst) != 0 {
                    let _ = emulate_default_handler(signal);
                }
                seen.cancel.cancel();
                let impatient = seen.clone();
                thread::spawn(move || {
                    thread::sleep(NOTICE);
                    if !impatient.held.load(Ordering::SeqCst) {
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
        self.held.store(true, Ordering::SeqCst);
    }

    /// Ends the program by the signal that was received, so that the shell sees it; returns where there was none.
    pub fn reraise(&self) {
        let signal = self.received.load(Ordering::SeqCst);
        if signal != 0 {
            let _ = emulate_default_handler(signal);
        }
    }
}
