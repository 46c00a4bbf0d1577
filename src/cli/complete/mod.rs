//! Completion in shells: the registration scripts, and the candidates for a partially typed command line.
//!
//! With `KVADM_COMPLETE=SHELL` in the environment kvadm prints SHELL's registration script; with words behind `--` it
//! prints candidates for the last one. clap_complete's engine knows the verbs and options; [`crate::commands::complete`]
//! finds keys, locks, leases and contexts.
//!
//! The adapters of bash, zsh and fish are kvadm's own. Keys come from a server and may be hostile: clap_complete's
//! adapter for bash puts them on the command line without quotes.

pub mod registration;
mod words;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use clap::{Arg, CommandFactory, FromArgMatches, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::engine::{ArgValueCompleter, PathCompleter, ValueCompleter, complete};

use super::{Cli, Global, command};
use crate::commands::complete::{CandidateKind, Lookup, candidates};
use crate::commands::completions::Shell;
use crate::error::{Exit, Failure};
use crate::gc::metadata::schema::BUILT_IN;
use crate::output::{ColorChoice, Format, Out, Settings};
use registration::{VARIABLE, registration};
use words::{Syntax, Word};

/// bash's COMP_WORDBREAKS: bash replaces only the text after the last of these characters.
const WORD_BREAKS: &str = "KVADM_COMPLETE_BREAKS";

/// Answers a shell, if one asks.
pub fn answer(args: &[OsString]) -> Option<Result<Exit, Failure>> {
    let name = std::env::var_os(VARIABLE).filter(|name| !name.is_empty())?;
    let stem = Path::new(&name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let Ok(shell) = Shell::from_str(&stem, false) else {
        return Some(Err(Failure::usage(format!("{VARIABLE}: unknown shell '{stem}'"))));
    };
    let color = ColorChoice::Never;
    let out = Out::new(Settings { format: Some(Format::Text), color, quiet: true, verbosity: 0, progress: false });
    let words = args.iter().position(|arg| arg == "--").map(|at| &args[at + 1..]).unwrap_or_default();
    let (text, exit) = match words {
        [] => (registration(shell), Exit::Done),
        words => match replies(shell, words, &std::env::var_os(WORD_BREAKS).unwrap_or_default()) {
            Some(lines) => (lines, Exit::Done),
            None => (String::new(), Exit::No),
        },
    };
    let written = out.bytes(text.as_bytes()).and_then(|()| out.flush());
    Some(written.map(|()| exit).map_err(Failure::from))
}

/// The candidates in the form that the shell's script reads; `None` if kvadm does not complete the word.
fn replies(shell: Shell, words: &[OsString], breaks: &OsStr) -> Option<String> {
    let (last, before) = words.split_last()?;
    let plain = |value: &[u8]| OsString::from_vec(value.to_vec());
    let (before, word): (Vec<OsString>, Word) = match shell {
        Shell::Bash => {
            let (before, word) = words::split(last.as_bytes(), breaks.as_bytes())?;
            (before.iter().map(|value| plain(value)).collect(), word)
        }
        Shell::Zsh => {
            let value = |word: &OsString| plain(&words::read(word.as_bytes(), Syntax::Posix).value);
            (before.iter().map(value).collect(), words::read(last.as_bytes(), Syntax::Posix))
        }
        Shell::Fish => (before.to_vec(), words::read(last.as_bytes(), Syntax::Fish)),
        Shell::Elvish | Shell::Powershell => (before.to_vec(), Word::plain(last.as_bytes())),
    };
    let mut lines = String::new();
    for candidate in find(before, plain(&word.value)) {
        let Some(value) = candidate.get_value().to_str().filter(|value| !value.chars().any(char::is_control)) else {
            continue;
        };
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        let line = match shell {
            Shell::Bash => word.insertion(value),
            Shell::Zsh | Shell::Fish if !help.is_empty() => Some(format!("{value}\t{help}")),
            // PowerShell puts a candidate on the line as it is.
            Shell::Powershell => words::is_plain(value).then(|| format!("{value}\t{help}")),
            _ => Some(value.to_owned()),
        };
        lines.extend(line.map(|line| line + "\n"));
    }
    Some(lines)
}

/// Candidates of clap and the completers for `current`, which follows `before`.
fn find(before: Vec<OsString>, current: OsString) -> Vec<CompletionCandidate> {
    let line = Arc::new(TypedLine::read(&before));
    let mut command = with_completers(with_help_of_groups(command()), &mut Vec::new(), &line);
    let (index, folder, is_empty) = (before.len(), std::env::current_dir().ok(), current.is_empty());
    let words = before.into_iter().chain([current]).collect();
    let mut found = complete(&mut command, words, index, folder.as_deref()).unwrap_or_default();
    // Options are offered for an empty word only if there are no other candidates.
    let is_option = |candidate: &CompletionCandidate| candidate.get_value().as_bytes().starts_with(b"-");
    if is_empty && !found.iter().all(is_option) {
        found.retain(|candidate| !is_option(candidate));
    }
    found
}

/// Adds to `help` the subcommands of each verb: clap copies its list of verbs while these are deferred.
fn with_help_of_groups(command: clap::Command) -> clap::Command {
    let groups: Vec<clap::Command> = command.get_subcommands().filter(|verb| verb.has_subcommands()).cloned().collect();
    groups.iter().filter(|group| group.get_name() != "help").fold(command, |command, group| {
        let verbs = group.get_subcommands().map(|verb| verb.clone().mut_args(|arg| arg.hide(true)));
        command.mut_subcommand("help", |help| help.mut_subcommand(group.get_name(), |group| group.subcommands(verbs)))
    })
}

/// Options and verbs of the preceding words. A completer receives only the current word.
struct TypedLine {
    global: Option<Global>,
    escape: bool,
    base: Option<Vec<u8>>,
}

impl TypedLine {
    fn read(before: &[OsString]) -> Self {
        let matches = Cli::command().ignore_errors(true).try_get_matches_from(before).ok();
        let global = matches.and_then(|matches| Global::from_arg_matches(&matches).ok());
        let escape = before.iter().any(|word| word == "--escape");
        let mut words = before.iter();
        let mut base = None;
        while let Some(word) = words.next() {
            match word.as_bytes().strip_prefix(b"--base") {
                Some(b"") => base = words.next().map(|value| value.as_bytes().to_vec()),
                Some([b'=', value @ ..]) => base = Some(value.to_vec()),
                _ => {}
            }
        }
        Self { global, escape, base }
    }
}

/// Adds to each option and argument what completes its values.
fn with_completers(command: clap::Command, path: &mut Vec<String>, line: &Arc<TypedLine>) -> clap::Command {
    let command = command.mut_args(|arg| match source(path, &arg) {
        Some(ValueSource::Schemas) => arg.add(ArgValueCompleter::new(schemas)),
        Some(ValueSource::Files) => arg.add(ArgValueCompleter::new(PathCompleter::any())),
        Some(ValueSource::Lookup(wanted)) => {
            let line = Arc::clone(line);
            arg.add(ArgValueCompleter::new(move |typed: &OsStr| look_up(wanted, typed, &line)))
        }
        None => arg,
    });
    command.mut_subcommands(|verb| {
        path.push(verb.get_name().to_owned());
        let verb = with_completers(verb, path, line);
        path.pop();
        verb
    })
}

fn look_up(wanted: CandidateKind, typed: &OsStr, line: &TypedLine) -> Vec<CompletionCandidate> {
    let Some(global) = &line.global else { return Vec::new() };
    let (overrides, base) = (global.overrides(), line.base.clone());
    let lookup = Lookup { wanted, typed: typed.as_bytes().to_vec(), overrides, escape: line.escape, base };
    candidates(lookup).into_iter().map(CompletionCandidate::new).collect()
}

fn schemas(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = BUILT_IN.iter().map(|(name, _)| *name).filter(|name| name.as_bytes().starts_with(typed.as_bytes()));
    names.map(CompletionCandidate::new).chain(PathCompleter::file().complete(typed)).collect()
}

/// Where the values of an option or argument come from, if clap does not know them itself.
#[derive(Debug, PartialEq, Eq)]
enum ValueSource {
    Lookup(CandidateKind),
    Schemas,
    Files,
}

fn source(path: &[String], arg: &Arg) -> Option<ValueSource> {
    let name = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str())?;
    let verb = path.first().map(String::as_str).unwrap_or_default();
    let wanted = match (verb, arg.get_id().as_str(), name) {
        (_, "context" | "remotes", _) | (_, _, "CONTEXT") => CandidateKind::Contexts,
        (_, "namespace", _) | ("help", ..) => return None,
        (_, "schema" | "print_schema", _) => return Some(ValueSource::Schemas),
        (_, _, "CMD") => return Some(ValueSource::Files),
        ("user", "name", _) => CandidateKind::Users,
        ("role", "name", _) | ("user", "roles", _) => CandidateKind::Roles,
        ("lock", "name", _) | ("gc", "lock", _) => CandidateKind::Locks,
        ("member", "member", _) => CandidateKind::Members,
        ("lease", _, "ID") | (_, "lease", _) => CandidateKind::Leases,
        ("allocate", _, "KEY") | ("allocate", "key_prefix", _) => CandidateKind::Allocated,
        (_, _, "KEY" | "PREFIX" | "P") => CandidateKind::Keys,
        _ => return None,
    };
    Some(ValueSource::Lookup(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each option or argument with a source, by its verb.
    fn sources(command: &clap::Command, path: &mut Vec<String>, found: &mut Vec<(String, String, ValueSource)>) {
        for arg in command.get_arguments().filter(|arg| !arg.is_global_set()) {
            found.extend(source(path, arg).map(|source| (path.join(" "), arg.get_id().to_string(), source)));
        }
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            path.push(verb.get_name().to_owned());
            sources(verb, path, found);
            path.pop();
        }
    }

    #[test]
    fn values_come_from_where_they_are() {
        let mut found = Vec::new();
        sources(&command(), &mut Vec::new(), &mut found);
        let of = |verb: &str, id: &str| {
            found.iter().find(|(path, arg, _)| path == verb && arg == id).map(|(_, _, source)| source)
        };
        for (verb, id, wanted) in [
            ("get", "keys", CandidateKind::Keys),
            ("put", "key", CandidateKind::Keys),
            ("put", "if_exists", CandidateKind::Keys),
            ("put", "lease", CandidateKind::Leases),
            ("edit", "key", CandidateKind::Keys),
            ("delete", "prefix", CandidateKind::Keys),
            ("list", "prefix", CandidateKind::Keys),
            ("list", "from", CandidateKind::Keys),
            ("watch", "exact", CandidateKind::Keys),
            ("lock", "name", CandidateKind::Locks),
            ("lease revoke", "ids", CandidateKind::Leases),
            ("member remove", "member", CandidateKind::Members),
            ("member move-leader", "member", CandidateKind::Members),
            ("allocate new", "keys", CandidateKind::Allocated),
            ("allocate release", "keys", CandidateKind::Allocated),
            ("allocate list", "key_prefix", CandidateKind::Allocated),
            ("allocate list", "base", CandidateKind::Keys),
            ("gc locks", "prefix", CandidateKind::Keys),
            ("user grant", "name", CandidateKind::Users),
            ("user grant", "roles", CandidateKind::Roles),
            ("role grant", "name", CandidateKind::Roles),
            ("role grant", "prefix", CandidateKind::Keys),
            ("gc metadata", "explain", CandidateKind::Keys),
            ("gc metadata", "lock", CandidateKind::Locks),
        ] {
            assert_eq!(of(verb, id), Some(&ValueSource::Lookup(wanted)), "{verb} {id}");
        }
        assert_eq!(of("gc metadata", "schema"), Some(&ValueSource::Schemas));
        assert_eq!(of("put", "value"), None);
        assert_eq!(of("list", "limit"), None);
    }

    fn offered(line: &str) -> Vec<String> {
        let line = OsString::from(line);
        let lines = replies(Shell::Bash, &[line], OsStr::new(" \t\n\"'@><=;|&(:"));
        lines.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    #[test]
    fn verbs_options_and_values_are_offered() {
        assert_eq!(offered("kvadm compl"), ["completions"]);
        assert_eq!(offered("kvadm list --with"), ["--with-leases"]);
        assert_eq!(offered("kvadm list --sort ver"), ["version"]);
        assert_eq!(offered("kvadm list --output=j"), ["json"]);
        assert_eq!(offered("kvadm help lease rev"), ["revoke"]);
        assert_eq!(offered("kvadm gc metadata --schema containerd-"), ["containerd-1.7", "containerd-etcd"]);
        assert!(offered("kvadm get --y").is_empty());
        assert_eq!(offered("kvadm delete --y"), ["--yes"]);
    }

    #[test]
    fn the_words_in_front_count() {
        let words = ["kvadm", "get", "--endpoints", "a:1,b:2", "--namespace=/n/", "-o", "json", "--escape"];
        let line = TypedLine::read(&words.map(OsString::from));
        let overrides = line.global.map(|global| global.overrides()).unwrap_or_default();
        assert_eq!(overrides.endpoints, Some(vec!["a:1".to_owned(), "b:2".to_owned()]));
        assert_eq!(overrides.namespace, Some(b"/n/".to_vec()));
        assert!(line.escape);
        let base = |words: &[&str]| TypedLine::read(&words.iter().map(OsString::from).collect::<Vec<_>>()).base;
        assert_eq!(base(&["kvadm", "allocate", "get", "--base", "b"]), Some(b"b".to_vec()));
        assert_eq!(base(&["kvadm", "allocate", "get", "--base=b"]), Some(b"b".to_vec()));
    }
}
