//! The names of kvadm's helper processes, and the time limits for terminating a command.

use std::path::PathBuf;
use std::time::Duration;

/// The process name of the guardian.
pub(super) const GUARDIAN: &str = "kvadm-guardian";
/// The process name of the helper that becomes the command.
pub(super) const STARTER: &str = "kvadm-starter";

/// Time between SIGTERM and SIGKILL, if the command must be dead within a second.
pub(super) const GRACE: Duration = Duration::from_millis(600);

/// The remaining lease time below which the command is terminated: SIGTERM at the start of the margin, SIGKILL at half of
/// it, and the rest for the system to kill the processes.
pub fn margin(ttl: Duration) -> Duration {
    // At most half of a very short lease, to leave time for its renewal, and at most 30 s of a long one.
    (ttl / 4).clamp(Duration::from_secs(1), Duration::from_secs(30)).min(ttl / 2)
}

/// The running binary, even if another one was installed in its place.
pub(super) fn own_binary() -> PathBuf {
    let this = PathBuf::from("/proc/self/exe");
    if this.exists() { this } else { std::env::current_exe().unwrap_or(this) }
}
