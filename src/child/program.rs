//! The names of kvadm's helper processes, and the time limits for terminating a command.

use std::fs::FileType;
use std::path::PathBuf;
use std::time::Duration;

/// The process name of the guardian. `pkill kvadm`, which ends kvadm, must leave the guardian, so the names of the helpers
/// do not contain kvadm's. At most 15 bytes, the kernel's limit.
pub(super) const GUARDIAN: &str = "lease-guardian";
/// The process name of the helper that becomes the command.
pub(super) const STARTER: &str = "lease-starter";

/// Time between SIGTERM and SIGKILL, if the command must be dead within a second.
pub(super) const GRACE: Duration = Duration::from_millis(600);

/// The remaining lease time below which the command is terminated: SIGTERM at the start of the margin, SIGKILL at half of
/// it, and the rest for the system to kill the processes.
pub fn margin(ttl: Duration) -> Duration {
    // At most half of a very short lease, to leave time for its renewal, and at most 30 s of a long one.
    (ttl / 4).clamp(Duration::from_secs(1), Duration::from_secs(30)).min(ttl / 2)
}

/// Whether kvadm started this process as a helper: it hands over a socket or a pipe. A user may give the binary the name
/// of a helper too.
pub(super) fn is_helper(fd: &str, is_handed_over: impl Fn(&FileType) -> bool) -> bool {
    fd.parse::<u32>().is_ok()
        && std::fs::metadata(format!("/proc/self/fd/{fd}")).is_ok_and(|file| is_handed_over(&file.file_type()))
}

/// The running binary, even if another one was installed in its place.
pub(super) fn own_binary() -> PathBuf {
    let this = PathBuf::from("/proc/self/exe");
    if this.exists() { this } else { std::env::current_exe().unwrap_or(this) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_lease_between_a_second_and_half_a_minute_and_half_of_a_short_one() {
        for (ttl, wanted) in
            [(1, 500), (2, 1000), (3, 1000), (4, 1000), (8, 2000), (60, 15_000), (120, 30_000), (600, 30_000)]
        {
            assert_eq!(margin(Duration::from_secs(ttl)), Duration::from_millis(wanted), "{ttl} s");
        }
    }
}
