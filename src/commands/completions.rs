//! `kvadm completions`.

use crate::error::{Exit, Failure};
use crate::output::Out;

/// Print the completion script of a shell.
///
/// The shell asks kvadm for candidates while a line is typed. In bash, zsh and fish kvadm also completes keys and
/// prefixes (one level at a time), lock names, leases, allocator keys and contexts: it asks the etcd that the command
/// line and the configuration name, for at most 150ms, and offers nothing if that fails.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  source <(kvadm completions bash)     # in ~/.bashrc
  source <(kvadm completions zsh)      # in ~/.zshrc, after compinit
  kvadm completions fish | source      # in ~/.config/fish/config.fish")]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// A shell with completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

/// Runs the verb on the shell's script.
///
/// # Errors
/// The output is closed or full.
pub fn run(out: &Out, script: &str) -> Result<Exit, Failure> {
    out.bytes(script.as_bytes())?;
    Ok(Exit::Done)
}
