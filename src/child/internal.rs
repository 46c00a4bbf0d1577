//! Entry point of kvadm's helper processes.

use std::ffi::OsString;
use std::process::ExitCode;

use super::program::{GUARDIAN, STARTER};
use super::{guardian, process};

/// Runs this process as a helper, if its name says so.
pub fn internal(args: &[OsString]) -> Option<ExitCode> {
    match args.first()?.to_str()? {
        GUARDIAN => Some(guardian::guard(args.get(1..).unwrap_or_default())),
        STARTER => Some(process::become_command(args)),
        _ => None,
    }
}
