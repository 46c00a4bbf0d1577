//! Usage errors: what they suggest, what a terminal may be shown of them, and their form for scripts that request JSON.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::ColorChoice;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::etcdctl;
use crate::error::{Exit, Failure};
use crate::output::{Format, sanitize};
use crate::shell;

/// Completes clap's error for these arguments, the program's name first: no argument may control the terminal, and a
/// command that was meant for etcdctl gets the line of kvadm as its tip, instead of words that look alike.
pub fn explained(error: clap::Error, args: &[OsString], grammar: &clap::Command) -> clap::Error {
    if !error.use_stderr() {
        return error;
    }
    let given = args;
    let before = std::iter::once(None).chain(given.iter().map(Some));
    let args: Vec<OsString> = before.zip(given).map(|(before, arg)| without_user_info(before, arg)).collect();
    let args = args.as_slice();
    let mut error = printable(error, given, args, grammar);
    show_whole_usage(&mut error, grammar);
    let words: Option<Vec<String>> = args.iter().skip(1).map(|arg| arg.to_str().map(str::to_owned)).collect();
    let Some(words) = words else { return error };
    let accepts = |words: &[String]| {
        let line = std::iter::once("kvadm").chain(words.iter().map(String::as_str));
        match grammar.clone().try_get_matches_from(line) {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::DisplayHelp,
        }
    };
    let unknown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) if error.kind() == ErrorKind::UnknownArgument => Some(arg.clone()),
        _ => None,
    };
    let flag_tip = || unknown.as_ref().and_then(|arg| etcdctl::flag_tip(&words, arg));
    if let Some(tip) = etcdctl::tip(&words, accepts).or_else(flag_tip) {
        for kind in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue] {
            error.remove(kind);
        }
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    } else if let Some(tip) = tip_for_value(&error, &words, accepts) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    } else if let Some(tip) = tip_for_all(&error, &words, accepts) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    } else if let Some(tip) = source_tip(&error, &words, accepts) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    } else if let Some(reason) = conflict_reason(&error) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(reason)]));
    } else if unknown.is_some_and(|arg| etcdctl::is_flag(&arg) || is_number_of_option(&arg, &words)) {
        // It was not meant as a value.
        error.remove(ContextKind::Suggested);
    }
    hide_password(&mut error, &words);
    error
}

/// `help --help`, `help get -h`: clap takes each word behind `help` as the name of a verb.
pub fn asks_for_help_of_help(error: &clap::Error) -> bool {
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(name)) => is_help_option(OsStr::new(name)),
        _ => false,
    }
}

/// Whether a word is `-h` or `--help`.
pub fn is_help_option(word: &OsStr) -> bool {
    word == "-h" || word == "--help"
}

/// Whether the arguments, the program's name first, have another meaning for etcdctl.
pub fn is_misread(args: &[OsString]) -> bool {
    let words: Vec<String> = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    etcdctl::is_misread(&words)
}

/// The error for arguments that have another meaning for etcdctl.
pub fn misread(grammar: &clap::Command) -> clap::Error {
    let mut error = clap::Error::new(ErrorKind::ArgumentConflict).with_cmd(grammar);
    error.insert(ContextKind::InvalidArg, ContextValue::String("--prefix".to_owned()));
    error.insert(ContextKind::PriorArg, ContextValue::String("revoke-permission ROLE KEY".to_owned()));
    let verb = grammar.find_subcommand("role").and_then(|role| role.find_subcommand("revoke"));
    if let Some(verb) = verb {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(verb.clone().render_usage()));
    }
    error
}

/// Where a password is easily typed into the command line, an argument that is not expected is not repeated: neither on a
/// terminal nor in the log of a script.
fn hide_password(error: &mut clap::Error, words: &[String]) {
    let is_one = |word: &str| PASSWORD_VERBS.contains(&word);
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    // "Usage: kvadm VERB …"
    let verb = usage.split_whitespace().nth(2).filter(|word| !word.starts_with(['[', '<', '-']));
    if !verb.map_or_else(|| words.iter().any(|word| is_one(word)), is_one) {
        return;
    }
    let kind = match error.kind() {
        // A misspelt option is shown.
        ErrorKind::UnknownArgument => match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(arg)) if !arg.starts_with('-') => ContextKind::InvalidArg,
            _ => return,
        },
        ErrorKind::TooManyValues => ContextKind::InvalidValue,
        _ => return,
    };
    let hidden = error.get(kind).map(ToString::to_string).unwrap_or_default();
    error.insert(kind, ContextValue::String("(not shown)".to_owned()));
    let tip = "an argument here may be a password, which command lines do not take: they are visible to other users; \
               --new-password-file FILE reads one";
    let mut tips = vec![StyledStr::from(tip)];
    if let Some(ContextValue::StyledStrs(others)) = error.get(ContextKind::Suggested) {
        tips.extend(others.iter().filter(|other| !other.to_string().contains(&hidden)).cloned());
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
}

/// Verbs after which passwords are typed.
const PASSWORD_VERBS: [&str; 2] = ["auth", "user"];

/// Replaces clap's usage line, which has only the arguments that the error is about, by that of the verb.
fn show_whole_usage(error: &mut clap::Error, grammar: &clap::Command) {
    let Some(ContextValue::StyledStr(fragment)) = error.get(ContextKind::Usage) else { return };
    let fragment = fragment.to_string();
    // "Usage: kvadm VERB …"
    let names = fragment.split_whitespace().skip(2);
    let mut verb = grammar;
    for name in names {
        let Some(inner) = verb.find_subcommand(name) else { break };
        verb = inner;
    }
    error.insert(ContextKind::Usage, ContextValue::StyledStr(verb.clone().render_usage()));
}

/// Whether a word that is no option is a negative number behind an option: it was not meant as an argument.
fn is_number_of_option(word: &str, words: &[String]) -> bool {
    let is_number = word.strip_prefix('-').is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit()));
    is_number && words.windows(2).any(|pair| pair[0].starts_with("--") && pair[1] == word)
}

/// What to type if 'delete --all' was to delete all keys.
fn tip_for_all(error: &clap::Error, words: &[String], accepts: impl Fn(&[String]) -> bool) -> Option<String> {
    let is_it = error.kind() == ErrorKind::MissingRequiredArgument && words.iter().any(|word| word == "--all");
    let line = [words, &["--prefix".to_owned(), String::new()]].concat();
    (is_it && words.iter().any(|word| word == "delete") && accepts(&line))
        .then(|| format!("to delete all keys: kvadm {}", shell::line(&line)))
}

/// What to type if `restore` or `diff` was given a file without `--source`, or a source without its kind.
fn source_tip(error: &clap::Error, words: &[String], accepts: impl Fn(&[String]) -> bool) -> Option<String> {
    let verb = words.iter().position(|word| word == "restore" || word == "diff")?;
    let tip = |line: &[String]| accepts(line).then(|| format!("kvadm {}", shell::line(line)));
    let of_file = |path: &str| {
        let is_records = Path::new(path).extension().is_some_and(|suffix| suffix == "json" || suffix == "jsonl");
        if is_records { format!("file:{path}") } else { format!("db:{path}") }
    };
    let mut line = words.to_vec();
    match error.kind() {
        ErrorKind::ValueValidation => {
            let at = words.iter().position(|word| word == "--source" || word.starts_with("--source="))?;
            let joined = line[at].split_once('=').map(|(_, path)| path.to_owned());
            let path = joined.clone().or_else(|| line.get(at + 1).cloned()).filter(|path| Path::new(path).is_file())?;
            line[at] = format!("--source={}", of_file(&path));
            if joined.is_none() {
                line.remove(at + 1);
            }
            tip(&line)
        }
        ErrorKind::MissingRequiredArgument => {
            if let Some(at) = words.iter().position(|word| word == "--db" || word.starts_with("--db=")) {
                let joined = line[at].split_once('=').map(|(_, path)| path.to_owned());
                let path =
                    if joined.is_some() { joined? } else { (at + 1 < line.len()).then(|| line.remove(at + 1))? };
                line.remove(at);
                line.extend(["--source".to_owned(), format!("db:{path}")]);
                return tip(&line);
            }
            let at = (verb + 1..words.len()).find(|at| Path::new(&words[*at]).is_file())?;
            let source = of_file(&line[at]);
            line[at] = "PREFIX".to_owned();
            line.splice(at + 1..at + 1, ["--source".to_owned(), source]);
            tip(&line)
        }
        _ => None,
    }
}

/// Why two options exclude each other, if that is not evident.
fn conflict_reason(error: &clap::Error) -> Option<&'static str> {
    if error.kind() != ErrorKind::ArgumentConflict {
        return None;
    }
    let named = |option: &str| {
        let is_it = |shown: &String| shown.split([' ', '=']).next() == Some(option);
        [ContextKind::InvalidArg, ContextKind::PriorArg].into_iter().any(|kind| match error.get(kind) {
            Some(ContextValue::String(shown)) => is_it(shown),
            Some(ContextValue::Strings(shown)) => shown.iter().any(is_it),
            _ => false,
        })
    };
    if named("--trailer") {
        Some("a trailer proves that the listing has all keys of PREFIX, with their values")
    } else if named("--since-rev") && named("--limit") {
        Some("the next --since-rev would skip the keys beyond --limit; choose a narrower PREFIX instead")
    } else {
        None
    }
}

/// The argument without the user and the password of its URLs, and of endpoints without a scheme.
fn without_user_info(before: Option<&OsString>, arg: &OsStr) -> OsString {
    let Some(text) = arg.to_str().filter(|text| text.contains('@')) else { return arg.to_owned() };
    let places = ["--endpoints", "--discovery-srv"];
    let joined = places.iter().find_map(|name| text.strip_prefix(name)?.strip_prefix('='));
    let is_value = before.is_some_and(|before| places.iter().any(|name| before == name));
    if let Some(value) = joined.or(is_value.then_some(text)) {
        let name = &text[..text.len() - value.len()];
        let place = |one: &str| {
            let scheme = one.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
            one.rsplit_once('@').map_or_else(|| one.to_owned(), |(_, place)| scheme + place)
        };
        return (name.to_owned() + &value.split(',').map(place).collect::<Vec<_>>().join(",")).into();
    }
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(['/', '?', '#', ',', ' ']).unwrap_or(after.len());
        let (authority, other) = after.split_at(end);
        shown.push_str(authority.rsplit('@').next().unwrap_or_default());
        rest = other;
    }
    (shown + rest).into()
}

/// The same error for arguments as a terminal may show them.
fn printable(error: clap::Error, given: &[OsString], args: &[OsString], grammar: &clap::Command) -> clap::Error {
    let safe: Vec<OsString> = args.iter().map(|arg| sanitize(arg.as_bytes(), false).into_owned().into()).collect();
    if safe == given {
        return error;
    }
    match grammar.clone().try_get_matches_from(&safe) {
        Err(printable) => printable,
        // Only the bytes were wrong, and clap does not show them.
        Ok(_) => error,
    }
}

/// What to type if 'put KEY --word' was to write `--word`, or '--if-value --word' to compare with it.
fn tip_for_value(error: &clap::Error, words: &[String], accepts: impl Fn(&[String]) -> bool) -> Option<String> {
    if !words.iter().any(|word| word == "put" || word == "delete") {
        return None;
    }
    let mut line = words.to_vec();
    let compared = words.windows(2).position(|pair| pair[0] == "--if-value" && pair[1].starts_with('-'));
    if let Some(at) = compared {
        let value = line.remove(at + 1);
        line[at].push_str(&format!("={value}"));
        return accepts(&line)
            .then(|| format!("to compare with {}: kvadm {}", shell::quote(value.as_bytes()), shell::line(&line)));
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_option =
        |word: &String| word.strip_prefix(option.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
    let value = line.remove(words.iter().position(is_option)?);
    // A line that is complete without the word does not need it as its value.
    if accepts(&line) {
        return None;
    }
    line.extend(["--".to_owned(), value.clone()]);
    accepts(&line)
        .then(|| format!("to write {} as the value: kvadm {}", shell::quote(value.as_bytes()), shell::line(&line)))
}

/// The output format in arguments that clap has rejected.
pub fn requested_format(args: &[OsString]) -> Option<Format> {
    values(args, "--output", Some("-o")).filter_map(|value| value.parse().ok()).last()
}

/// The choice of `--color`, before the arguments are parsed: their errors have colours too.
pub fn requested_color(args: &[OsString]) -> ColorChoice {
    let choice = |value: String| match value.as_str() {
        "always" => Some(ColorChoice::Always),
        "never" => Some(ColorChoice::Never),
        "auto" => Some(ColorChoice::Auto),
        _ => None,
    };
    values(args, "--color", None).filter_map(choice).last().unwrap_or(ColorChoice::Auto)
}

/// The values of an option, wherever it stands.
fn values<'a>(args: &'a [OsString], long: &'a str, short: Option<&'a str>) -> impl Iterator<Item = String> + 'a {
    let mut words = args.iter().map(OsString::as_os_str).take_while(|word| *word != "--").map(OsStr::to_string_lossy);
    std::iter::from_fn(move || {
        loop {
            let word = words.next()?;
            if word == long || short.is_some_and(|short| word == short) {
                return words.next().map(Cow::into_owned);
            }
            let of_long = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
            let of_short = || {
                let rest = word.strip_prefix(short?)?;
                Some(rest.strip_prefix('=').unwrap_or(rest))
            };
            if let Some(value) = of_long.or_else(of_short) {
                return Some(value.to_owned());
            }
        }
    })
}

/// Converts clap's error: the first paragraph is the error, the others except the usage line are hints; each tip is a hint of
/// its own.
pub fn failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let joined = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n").filter(|part| !part.trim_start().starts_with("Usage:"));
    let first = joined(paragraphs.next().unwrap_or_default());
    let failure = Failure::new(Exit::Usage, first.strip_prefix("error: ").unwrap_or(&first));
    let hints = paragraphs.flat_map(|part| match part.trim_start().strip_prefix("tip: ") {
        Some(tips) => tips.split("\n  tip: ").map(|tip| tip.trim().to_owned()).collect(),
        None => vec![joined(part)],
    });
    hints.filter(|hint| !hint.is_empty()).fold(failure, Failure::hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_of_urls_are_not_shown() {
        for (given, shown) in [
            ("http://root:s3cret@h:1", "http://h:1"),
            // A password may have a slash.
            ("--endpoints=http://a:b@h:1,https://c:d@i:2/x@y", "--endpoints=http://h:1,https://y"),
            ("http://a:p@q@h:1", "http://h:1"),
            ("http://h:1", "http://h:1"),
            ("a@b", "a@b"),
            ("x://", "x://"),
        ] {
            assert_eq!(without_user_info(None, OsStr::new(given)), shown);
        }
        for (name, given, shown) in [
            ("--endpoints", "root:s3/cret@h:1,i:2", "h:1,i:2"),
            ("--endpoints", "https://root:s3/cret@h:1", "https://h:1"),
            ("--discovery-srv", "root:s3cret@example.com", "example.com"),
        ] {
            assert_eq!(without_user_info(Some(&name.into()), OsStr::new(given)), shown);
            let joined = |value: &str| OsString::from(format!("{name}={value}"));
            assert_eq!(without_user_info(None, &joined(given)), joined(shown));
        }
    }

    #[test]
    fn the_choice_of_colours_is_found_before_parsing() {
        let requested = |line: &str| requested_color(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in ["--color never x", "x --color=never", "x --color always --color never", "x --color=never --bad"] {
            assert_eq!(requested(line), ColorChoice::Never, "{line}");
        }
        for line in ["x", "x -- --color never", "--color", "--colors never", "--color no"] {
            assert_eq!(requested(line), ColorChoice::Auto, "{line}");
        }
    }

    #[test]
    fn the_format_is_found_however_it_is_written() {
        let requested = |line: &str| requested_format(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in ["-o json x", "x -ojson", "x -o=json", "--output json", "--output=json", "-o text -o json"] {
            assert_eq!(requested(line), Some(Format::Json), "{line}");
        }
        for line in ["x", "x -- -o json", "-o", "-o xml", "--output-json", "-O json"] {
            assert_eq!(requested(line), None, "{line}");
        }
    }
}
