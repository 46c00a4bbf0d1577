//! kvadm's own binary under other names, and the times within which a command is ended.

use std::path::PathBuf;
use std::time::Duration;

/// The guardian's name, in place of the program's.
pub(super) const GUARDIAN: &str = "kvadm-guardian";
/// The name of what becomes the command.
pub(super) const STARTER: &str = "kvadm-starter";

/// How long a command may take to end by itself once it has to be dead within a second.
pub(super) const GRACE: Duration = Duration::from_millis(600);

/// How much of a lease must be left for what it protects to go on. All that ends the command fits into it: SIGTERM,
/// a time of grace, SIGKILL at half of it, and the rest for the system to do so.
pub fn margin(ttl: Duration) -> Duration {
    // Of a very short lease no more than half, or there would be no time to renew it; of a long one no more than it takes.
    (ttl / 4).clamp(Duration::from_secs(1), Duration::from_secs(30)).min(ttl / 2)
}

/// This very binary, also after another one was installed in its place.
pub(super) fn own_binary() -> PathBuf {
    let this = PathBuf::from("/proc/self/exe");
    if this.exists() { this } else { std::env::current_exe().unwrap_or(this) }
}
