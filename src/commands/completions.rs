//! `kvadm completions`.

use clap_complete::Shell;

use crate::context::Context;
use crate::error::{Exit, Failure};

/// Print the completion script of a shell.
///
/// The same scripts are installed with the program; this prints them where they are not.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm completions bash > ~/.local/share/bash-completion/completions/kvadm
  kvadm completions zsh > ~/.zfunc/_kvadm
  kvadm completions fish | source")]
pub struct Args {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the verb.
///
/// # Errors
/// Nothing but a closed output.
pub fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "kvadm", &mut script);
    ctx.out.bytes(&script)?;
    Ok(Exit::Done)
}
