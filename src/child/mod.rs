//! Running a command that must not outlive a lease.
//!
//! Three processes beside each other: kvadm, which keeps the lease alive and ends the command in time; the command, in a
//! process group of its own; and the *guardian*, which ends the command where kvadm itself is stopped or killed. The
//! latter two begin as kvadm's own binary under another name (see [`internal`]), which users never see, and may begin
//! ahead: see [`Stage`].

mod guardian;
mod process;
mod run;
mod stage;
mod terminal;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub use run::{Ended, Parting, run};
pub use stage::Stage;

/// The guardian's name, in place of the program's.
const GUARDIAN: &str = "kvadm-guardian";
/// The name of what becomes the command.
const STARTER: &str = "kvadm-starter";

/// How long a command may take to end by itself once it has to be dead within a second.
const GRACE: Duration = Duration::from_millis(600);

/// Does what this process was started for, if it is one of kvadm's own helpers.
pub fn internal(args: &[OsString]) -> Option<ExitCode> {
    match args.first()?.to_str()? {
        GUARDIAN => Some(guardian::guard(args.get(1..).unwrap_or_default())),
        STARTER => Some(process::become_command(args)),
        _ => None,
    }
}

/// How much of a lease must be left for what it protects to go on. All that ends the command fits into it: SIGTERM,
/// a time of grace, SIGKILL at half of it, and the rest for the system to do so.
pub fn margin(ttl: Duration) -> Duration {
    // Of a very short lease no more than half, or there would be no time to renew it; of a long one no more than it takes.
    (ttl / 4).clamp(Duration::from_secs(1), Duration::from_secs(30)).min(ttl / 2)
}

/// This very binary, also after another one was installed in its place.
fn own_binary() -> PathBuf {
    let this = PathBuf::from("/proc/self/exe");
    if this.exists() { this } else { std::env::current_exe().unwrap_or(this) }
}
