//! `kvadm completions`.

use clap_complete::Shell;

use crate::error::{Exit, Failure};
use crate::output::Out;

/// Print the completion script of a shell.
///
/// The same scripts are installed with the program; this prints them where they are not. In bash, zsh and fish they
/// also complete keys and prefixes (a level at a time), lock names, leases, allocator keys and contexts: kvadm asks the
/// store that the command line and the configuration name, for at most 150ms, and says nothing where it cannot.
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
pub fn run(out: &Out, args: &Args) -> Result<Exit, Failure> {
    out.bytes(script(args.shell).as_bytes())?;
    Ok(Exit::Done)
}

/// The shell's script: what clap makes of the grammar, and where it can, kvadm's own part, which asks the store first.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::command(), "kvadm", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => script + include_str!("live.bash"),
        Shell::Fish => script + include_str!("live.fish"),
        // The file is loaded at the first use and ends with a call of _kvadm, which stays the name.
        Shell::Zsh => match script.split_once("\n_kvadm() {\n") {
            Some((head, tail)) => {
                let (body, end) = tail.split_once("\n}\n").unwrap_or((tail, ""));
                let live = include_str!("live.zsh");
                format!("{head}\n_kvadm_static() {{\n{body}\n}}\n\n{live}{end}")
            }
            None => script,
        },
        _ => script,
    }
}
