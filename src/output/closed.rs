//! A standard output that was closed when the program started: each write to it fails.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Says that standard output was closed when the program started. What is there now belongs to the standard library.
pub fn stdout_is_closed() {
    IS_CLOSED.store(true, Ordering::Relaxed);
}

/// The error of a write to standard output if it was closed.
///
/// # Errors
/// It was closed.
pub fn check_stdout() -> io::Result<()> {
    if IS_CLOSED.load(Ordering::Relaxed) { Err(Errno::EBADF.into()) } else { Ok(()) }
}

/// Takes the place of the closed stream.
pub(super) struct ClosedStream;

impl Write for ClosedStream {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(Errno::EBADF.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
