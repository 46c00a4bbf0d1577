//! The grammar of the command line. Parsing only: nothing here does I/O.

pub mod complete;
mod global;
pub mod manual;
pub mod usage;

mod verbs;

use std::ffi::OsString;

use clap::error::Result;
use clap::{CommandFactory, FromArgMatches, Parser};

pub use global::Global;
pub use verbs::Command;

/// Administer etcd and the coordination state that clusters keep in it.
#[derive(Debug, Parser)]
#[command(
    name = "kvadm",
    version,
    about,
    long_about = None,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_long_help = AFTER
)]
pub struct Cli {
    /// The options that every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// The whole grammar; what help, completions and man pages are made of.
pub fn command() -> clap::Command {
    Command::augment(Cli::command(), |_| true)
}

/// What the arguments mean, the program's name first.
///
/// # Errors
/// Wrong usage, or a wish for help or the version.
pub fn parse(args: &[OsString]) -> Result<Cli> {
    // Putting all verbs together takes longer than everything else before the first request. A verb that is no word of
    // the line cannot be the one that is meant.
    let named = Command::augment(Cli::command(), |verb| args.iter().any(|word| word == verb));
    match named.try_get_matches_from(args) {
        Ok(matches) => Cli::from_arg_matches(&matches),
        // Help, and what was meant instead of a word that is no verb, need all of them.
        Err(_) => command().try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches)),
    }
}

const AFTER: &str = "\
Examples:
  kvadm put /app/mode blue --create
  kvadm list /app/ -o json | kvadm --context other put --from -
  kvadm status --wait 30s

See kvadm(1) for the configuration file, the JSON contract and the exit codes.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn what_is_not_named_changes_nothing() {
        for line in [
            "kvadm get k",
            "kvadm -v list --limit 3 get",
            "kvadm gte k",
            "kvadm",
            "kvadm --help",
            "kvadm lock n -- get k",
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let whole = command().try_get_matches_from(&args).and_then(|matches| Cli::from_arg_matches(&matches));
            match (parse(&args), whole) {
                (Ok(named), Ok(whole)) => assert_eq!(format!("{named:?}"), format!("{whole:?}"), "{line}"),
                (Err(named), Err(whole)) => assert_eq!(named.to_string(), whole.to_string(), "{line}"),
                (named, whole) => panic!("{line}: {named:?}, not {whole:?}"),
            }
        }
    }
}
