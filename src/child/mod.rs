//! Running a command that must not outlive a lease.
//!
//! Three processes beside each other: kvadm, which keeps the lease alive and ends the command in time; the command, in a
//! process group of its own; and the *guardian*, which ends the command where kvadm itself is stopped or killed. The
//! latter two begin as kvadm's own binary under another name (see [`internal`]), which users never see, and may begin
//! ahead: see [`PreparedChild`].

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
