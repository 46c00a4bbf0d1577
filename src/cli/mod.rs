//! The grammar of the command line. Parsing only: nothing here does I/O.

pub mod complete;
pub mod database;
pub mod etcdctl;
mod global;
pub mod manual;
mod short_help;
pub mod usage;

mod verbs;

use std::ffi::OsString;

use clap::error::Result;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};

use crate::args::safety_options;
use crate::context::Safety;

pub use global::Global;
use verbs::OPTIONS;
pub use verbs::{Command, GROUPS};

/// Administer etcd and the coordination state that clusters keep in it.
#[derive(Debug, Parser)]
#[command(
    name = "kvadm",
    version,
    about,
    long_about = None,
    max_term_width = 100,
    after_long_help = AFTER,
    args = safety_options()
)]
pub struct Cli {
    /// The options that every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// `--yes` and `--dry-run`, wherever they stand on the line.
    #[arg(skip)]
    pub safety: Safety,
    /// The names of the verb and of its own verb: `gc ids`.
    #[arg(skip)]
    pub verb: String,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// The whole grammar with every verb's options; help, completions and man pages are made of it.
pub fn command() -> clap::Command {
    colored(clap::ColorChoice::Auto)
}

fn colored(color: clap::ColorChoice) -> clap::Command {
    let mut command = OPTIONS.into_iter().fold(Cli::command(), |command, (name, augment)| {
        command.mut_subcommand(name, |_| augment(clap::Command::new(name)))
    });
    command = command.color(color);
    command.build();
    short_help::shorten(command, "")
}

/// Parses the arguments, the program's name first.
///
/// # Errors
/// Wrong usage, or a request for help or the version.
pub fn parse(args: &[OsString]) -> Result<Cli> {
    // The deferred verbs have no descriptions yet, which help shows; so what is not accepted is parsed a second time.
    let matches = match of_named_verbs(Cli::command(), args).try_get_matches_from(args) {
        Ok(matches) if !usage::is_misread(args) => matches,
        _ => {
            let grammar = with_grouped_verbs(colored(usage::requested_color(args)));
            let parsed = match grammar.clone().try_get_matches_from(args) {
                Err(error) if usage::asks_for_help_of_help(&error) => {
                    grammar.clone().try_get_matches_from(args.iter().filter(|word| !usage::is_help_option(word)))
                }
                Ok(_) if usage::is_misread(args) => Err(usage::misread(&grammar)),
                parsed => parsed,
            };
            parsed.map_err(|error| usage::explained(error, args, &grammar))?
        }
    };
    Ok(Cli { safety: safety(&matches), verb: verb(&matches), ..Cli::from_arg_matches(&matches)? })
}

/// The grammar with those verbs only whose names are words of the line, if there are any. clap copies every global option
/// into every verb, which takes longer than the parsing. No other word can be a verb, so a line that this grammar accepts has
/// the same meaning in the whole one.
fn of_named_verbs(grammar: clap::Command, args: &[OsString]) -> clap::Command {
    let is_named = |verb: &&clap::Command| args.iter().skip(1).any(|word| word == verb.get_name());
    let verbs: Vec<clap::Command> = grammar.get_subcommands().filter(is_named).cloned().collect();
    if verbs.is_empty() {
        return grammar;
    }
    clap::Command::new("kvadm")
        .args(grammar.get_arguments().cloned())
        .groups(grammar.get_groups().cloned())
        .subcommand_required(true)
        .subcommands(verbs)
}

/// The safety options of the whole line: in front of the verb, of a verb's verb, and behind them.
fn safety(matches: &ArgMatches) -> Safety {
    let is_set = |name| matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or_default();
    let behind = matches.subcommand().map(|(_, matches)| safety(matches)).unwrap_or_default();
    Safety { yes: is_set("yes") || behind.yes, dry_run: is_set("dry-run") || behind.dry_run }
}

/// The names of the verb and of its own verb.
fn verb(matches: &ArgMatches) -> String {
    let Some((name, matches)) = matches.subcommand() else { return String::new() };
    format!("{name} {}", verb(matches)).trim_end().to_owned()
}

/// The grammar whose own help lists the verbs by [`GROUPS`]. clap knows one heading for all of them, so they are hidden
/// from its list.
fn with_grouped_verbs(command: clap::Command) -> clap::Command {
    let list = grouped_verbs(&command);
    command
        .help_template(format!(
            "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{{all-args}}{{after-help}}"
        ))
        .override_usage("kvadm [OPTIONS] <COMMAND>")
        .mut_subcommands(|verb| verb.hide(true))
}

/// The verbs with their descriptions, one line of at most 80 columns each.
fn grouped_verbs(command: &clap::Command) -> String {
    const INDENT: usize = 15;
    const WIDTH: usize = 80 - INDENT;
    let (heading, literal) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let mut list = String::new();
    for (group, verbs) in GROUPS {
        list += &format!("{heading}{group}:{heading:#}\n");
        for name in verbs {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let about = first_clauses(&about, WIDTH);
            list += &format!("  {literal}{name}{literal:#}{:pad$}{about}\n", "", pad = INDENT - 2 - name.len());
        }
        list.push('\n');
    }
    list
}

/// As many clauses of a sentence as fit.
fn first_clauses(sentence: &str, width: usize) -> &str {
    let mut clauses = sentence;
    while clauses.len() > width {
        let Some(end) = clauses.rfind([';', ':']).or_else(|| clauses.rfind(',')) else { break };
        clauses = &clauses[..end];
    }
    clauses
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
    fn help_knows_the_options_of_every_verb() {
        let verbs = Cli::command();
        let names: Vec<&str> = verbs.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(OPTIONS.map(|(name, _)| name).as_slice(), names);
    }

    #[test]
    fn the_grammar_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn deferred_verbs_change_nothing() {
        for line in [
            "kvadm get k",
            "kvadm -v list --limit 3 get",
            "kvadm gte k",
            "kvadm",
            "kvadm --help",
            "kvadm lock n -- get k",
            "kvadm --user list",
            "kvadm --user list get put",
            "kvadm --user list -o json gc locks --dry-run",
            "kvadm put list get --namespace delete --yes",
            "kvadm get",
            "kvadm help get",
            "kvadm get --version",
            "kvadm -- get k",
            "kvadm config list --context get",
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let whole = with_grouped_verbs(command()).try_get_matches_from(&args);
            let whole = whole.and_then(|matches| {
                let (safety, verb) = (safety(&matches), verb(&matches));
                Ok(Cli { safety, verb, ..Cli::from_arg_matches(&matches)? })
            });
            match (parse(&args), whole) {
                (Ok(named), Ok(whole)) => assert_eq!(format!("{named:?}"), format!("{whole:?}"), "{line}"),
                (Err(named), Err(whole)) => {
                    // parse writes the usage line of an error anew.
                    let first = |error: &clap::Error| error.to_string().lines().next().map(str::to_owned);
                    assert_eq!((named.kind(), first(&named)), (whole.kind(), first(&whole)), "{line}");
                }
                (named, whole) => panic!("{line}: {named:?}, not {whole:?}"),
            }
        }
    }

    #[test]
    fn every_verb_stands_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        let command = command();
        let mut verbs: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        verbs.sort_unstable();
        assert_eq!(grouped, verbs);
    }

    #[test]
    fn safety_options_stand_anywhere() {
        let safety = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            parse(&args).map(|cli| (cli.safety.yes, cli.safety.dry_run)).map_err(|error| error.kind())
        };
        for line in [
            "kvadm --yes delete k",
            "kvadm delete k --yes",
            "kvadm lease --yes revoke 1",
            "kvadm gc --yes locks",
            "kvadm --yes delete --yes k",
        ] {
            assert_eq!(safety(line), Ok((true, false)), "{line}");
        }
        assert_eq!(safety("kvadm --dry-run gc locks --yes"), Ok((true, true)));
        assert_eq!(safety("kvadm delete k"), Ok((false, false)));
        // A wrapper may set them for every verb; a verb that only reads does not take them itself.
        assert_eq!(safety("kvadm --yes --dry-run get k"), Ok((true, true)));
        for line in
            ["kvadm get k --yes", "kvadm list --dry-run", "kvadm lease list --yes", "kvadm allocate get k --yes"]
        {
            assert_eq!(safety(line), Err(clap::error::ErrorKind::UnknownArgument), "{line}");
        }
    }
}
