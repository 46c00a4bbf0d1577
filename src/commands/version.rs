//! `kvadm version`.

use crate::error::{Exit, Failure};
use crate::output::{Out, VersionRow};

/// Print the version of kvadm.
///
/// The same as --version; with -o json an object.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm version
  kvadm version -o json")]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// The output is closed or full.
pub fn run(out: &Out, _args: &Args) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if out.is_data() {
        out.one(&VersionRow { version })?;
    } else {
        out.bytes(format!("kvadm {version}\n").as_bytes())?;
    }
    Ok(Exit::Done)
}
