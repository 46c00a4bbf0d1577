//! Running a command that must not outlive a lease.
//!
//! Three processes cooperate: kvadm, which keeps the lease alive and terminates the command in time; the command, in its
//! own process group; and the *guardian*, which terminates the command if kvadm itself is stopped or killed. The latter
//! two start as kvadm's own binary under another name (see [`internal`]), and can be started ahead (see [`PreparedChild`]).

mod guardian;
mod guardian_link;
mod prepared_child;
mod process;
mod program;
mod run;
mod terminal;

pub use prepared_child::PreparedChild;
pub use program::margin;
pub use run::{ChildExit, ExitedChild, run};

use std::ffi::OsString;
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;
use std::process::ExitCode;

/// Runs this process as a helper, if kvadm started it as one.
pub fn internal(args: &[OsString]) -> Option<ExitCode> {
    match args.first()?.to_str()? {
        program::GUARDIAN if program::is_helper("0", FileType::is_socket) => {
            Some(guardian::guard(args.get(1..).unwrap_or_default()))
        }
        program::STARTER if program::is_helper(args.get(1)?.to_str()?, FileType::is_fifo) => {
            Some(process::become_command(args))
        }
        _ => None,
    }
}
