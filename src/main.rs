//! The `kvadm` program.

use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the program was started without a standard output.
static STDOUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Looks at standard output before `main`: the standard library then opens /dev/null in the place of a closed one, and what is
/// printed there would be lost without an error.
#[allow(
    unsafe_code,
    reason = "there is no other place that runs before the standard library; the function itself is safe"
)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look_at_stdout;

extern "C" fn look_at_stdout() {
    let is_closed = fs::symlink_metadata("/proc/self/fd/1").is_err() && fs::metadata("/proc/self/fd").is_ok();
    STDOUT_IS_CLOSED.store(is_closed, Ordering::Relaxed);
}

fn main() -> ExitCode {
    if STDOUT_IS_CLOSED.load(Ordering::Relaxed) {
        kvadm::output::stdout_is_closed();
    }
    kvadm::run(std::env::args_os())
}
