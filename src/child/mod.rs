//! Running a command that must not outlive a lease.
//!
//! Three processes beside each other: kvadm, which keeps the lease alive and ends the command in time; the command, in a
//! process group of its own; and the *guardian*, which ends the command where kvadm itself is stopped or killed. The
//! latter two begin as kvadm's own binary under another name (see [`internal`]), which users never see, and may begin
//! ahead: see [`Stage`].

mod guardian;
mod internal;
mod process;
mod program;
mod run;
mod stage;
mod terminal;

pub use internal::internal;
pub use program::margin;
pub use run::{Ended, Parting, run};
pub use stage::Stage;
