//! What kvadm does where it was started as one of its own helpers.

use std::ffi::OsString;
use std::process::ExitCode;

use super::program::{GUARDIAN, STARTER};
use super::{guardian, process};

/// Does what this process was started for, if it is one of kvadm's own helpers.
pub fn internal(args: &[OsString]) -> Option<ExitCode> {
    match args.first()?.to_str()? {
        GUARDIAN => Some(guardian::guard(args.get(1..).unwrap_or_default())),
        STARTER => Some(process::become_command(args)),
        _ => None,
    }
}
