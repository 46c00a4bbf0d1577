//! Running a command that must not outlive a lease.
//!
//! Three processes cooperate: kvadm, which keeps the lease alive and terminates the command in time; the command, in its
//! own process group; and the *guardian*, which terminates the command if kvadm itself is stopped or killed. The latter
//! two start as kvadm's own binary under another name (see [`internal`]), and can be started ahead (see [`PreparedChild`]).

mod guardian;
mod internal;
mod prepared_child;
mod process;
mod program;
mod run;
mod terminal;

pub use internal::internal;
pub use prepared_child::PreparedChild;
pub use program::margin;
pub use run::{ChildExit, ExitedChild, run};
