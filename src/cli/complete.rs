//! What is to be completed, read from an unfinished command line. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, Command, FromArgMatches};

use super::Global;

/// What a word stands for that only the store, or the user's own files, can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Keys and prefixes.
    Keys,
    /// The names of locks.
    Locks,
    /// The IDs of leases.
    Leases,
    /// The names that `--context` takes.
    Contexts,
    /// Keys of the allocator at this base, or at the usual one.
    Allocated(Option<Vec<u8>>),
}

/// The question of a shell.
#[derive(Debug)]
pub struct Asked {
    /// What the word stands for.
    pub wanted: Wanted,
    /// What stands before it in the same word: `--exact=` or nothing.
    pub lead: Vec<u8>,
    /// What is typed of it.
    pub typed: Vec<u8>,
    /// The options that every verb takes, as far as they are typed.
    pub global: Global,
    /// Whether a backslash in a key is an escape.
    pub escape: bool,
}

/// Reads the words of a command line behind the program's name; the last one is being typed. `None` where it stands
/// for nothing that only the store can tell.
pub fn asked(words: &[OsString]) -> Option<Asked> {
    let (current, before) = words.split_last()?;
    let mut root = crate::command();
    root.build();
    let mut place = Place { verb: &root, path: Vec::new(), positionals: 0, pending: None, command: false };
    before.iter().for_each(|word| place.pass(word));
    let (lead, typed, arg) = place.current(current.as_bytes())?;
    let wanted = wanted(&place.path, arg, before)?;
    let escape = before.iter().any(|word| word == "--escape");
    let line = std::iter::once(OsString::from("kvadm")).chain(before.iter().cloned());
    let matches = crate::command().ignore_errors(true).try_get_matches_from(line).ok()?;
    let global = Global::from_arg_matches(&matches).ok()?;
    Some(Asked { wanted, lead: lead.to_vec(), typed: typed.to_vec(), global, escape })
}

/// Where in the grammar the words have led.
struct Place<'a> {
    verb: &'a Command,
    path: Vec<&'a str>,
    positionals: usize,
    /// An option whose value comes next.
    pending: Option<&'a Arg>,
    /// Behind `--`.
    command: bool,
}

impl<'a> Place<'a> {
    fn pass(&mut self, word: &OsStr) {
        let bytes = word.as_bytes();
        if self.pending.take().is_some() || self.command {
            return;
        }
        if bytes == b"--" {
            self.command = true;
        } else if let Some(long) = bytes.strip_prefix(b"--") {
            self.pending = self.long(long).filter(|arg| takes_next(arg));
        } else if bytes.len() > 1 && bytes.starts_with(b"-") {
            // Of a cluster, the first option that takes a value takes the rest of it.
            let valued = bytes.iter().position(|byte| self.short(*byte).is_some_and(takes_next));
            self.pending = valued.filter(|at| at + 1 == bytes.len()).and_then(|at| self.short(bytes[at]));
        } else if let Some(verb) = self.verb.find_subcommand(word).filter(|_| self.positionals == 0) {
            self.verb = verb;
            self.path.push(verb.get_name());
        } else {
            self.positionals += 1;
        }
    }

    /// What stands before the value in the word, what is typed of it, and whose value it is.
    fn current<'w>(&self, word: &'w [u8]) -> Option<(&'w [u8], &'w [u8], &'a Arg)> {
        if let Some(arg) = self.pending {
            return Some((b"", word, arg));
        }
        if word.starts_with(b"-") {
            let equals = word.iter().position(|byte| *byte == b'=')?;
            let arg = self.long(word[..equals].strip_prefix(b"--")?)?;
            return Some((&word[..=equals], &word[equals + 1..], arg));
        }
        if self.command {
            return None;
        }
        let positionals: Vec<&Arg> = self.verb.get_positionals().filter(|arg| !arg.is_last_set()).collect();
        let many = |arg: &&&Arg| arg.get_num_args().is_some_and(|number| number.max_values() > 1);
        let arg = positionals.get(self.positionals).or_else(|| positionals.last().filter(many))?;
        Some((b"", word, arg))
    }

    fn long(&self, name: &[u8]) -> Option<&'a Arg> {
        let is = |arg: &&Arg| {
            let mut names = arg.get_long_and_visible_aliases().unwrap_or_default().into_iter();
            names.any(|long| long.as_bytes() == name)
        };
        self.verb.get_arguments().find(is)
    }

    fn short(&self, name: u8) -> Option<&'a Arg> {
        self.verb.get_arguments().find(|arg| arg.get_short() == Some(char::from(name)))
    }
}

/// Whether the option's value is the next word.
fn takes_next(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

fn wanted(path: &[&str], arg: &Arg, before: &[OsString]) -> Option<Wanted> {
    let name = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str())?;
    let (id, verb) = (arg.get_id().as_str(), path.first().copied().unwrap_or_default());
    match (verb, name) {
        _ if id == "context" => Some(Wanted::Contexts),
        _ if id == "namespace" => None,
        ("lock", "NAME") if id == "name" => Some(Wanted::Locks),
        ("lease", "ID") => Some(Wanted::Leases),
        _ if id == "lease" => Some(Wanted::Leases),
        ("allocate", "KEY") => Some(Wanted::Allocated(base(before))),
        (_, "KEY" | "PREFIX" | "P") => Some(Wanted::Keys),
        _ => None,
    }
}

/// The value of `--base`.
fn base(before: &[OsString]) -> Option<Vec<u8>> {
    let mut words = before.iter();
    let mut base = None;
    while let Some(word) = words.next() {
        match word.as_bytes().strip_prefix(b"--base") {
            Some(b"") => base = words.next().map(|value| value.clone().into_vec()),
            Some([b'=', value @ ..]) => base = Some(value.to_vec()),
            _ => {}
        }
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str) -> Option<(Wanted, String)> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let asked = asked(&words)?;
        Some((asked.wanted, format!("{}|{}", asked.lead.escape_ascii(), asked.typed.escape_ascii())))
    }

    #[test]
    fn each_place_in_the_grammar() {
        let keys = |typed: &str| Some((Wanted::Keys, typed.to_owned()));
        for (line, wanted) in [
            ("get ", keys("|")),
            ("get /a:b", keys("|/a:b")),
            ("get /a /b", keys("|/b")),
            ("-o json -c x.yaml get /a", keys("|/a")),
            ("-qvo json list /a", keys("|/a")),
            ("put /a", keys("|/a")),
            ("put /a value", None),
            ("watch --exact /a", keys("|/a")),
            ("watch --exact=/a", keys("--exact=|/a")),
            ("watch /a --exec -- cat /a", None),
            ("delete --prefix /a", keys("|/a")),
            ("delete /a --if-exists /b", keys("|/b")),
            ("list --from /a --to /b", keys("|/b")),
            ("list --namespace /a", None),
            ("list --limit 5", None),
            ("list --limit 5 /a", keys("|/a")),
            ("get --if-locked /a", keys("|/a")),
            ("ge", None),
            ("get --", None),
            ("txn /a", None),
            ("--context ab", Some((Wanted::Contexts, "|ab".to_owned()))),
            ("get --context=ab", Some((Wanted::Contexts, "--context=|ab".to_owned()))),
            ("lock jobs/", Some((Wanted::Locks, "|jobs/".to_owned()))),
            ("lock a -- l", None),
            ("lease revoke 1f 2", Some((Wanted::Leases, "|2".to_owned()))),
            ("put /a b --lease 1", Some((Wanted::Leases, "|1".to_owned()))),
            ("allocate release a", Some((Wanted::Allocated(None), "|a".to_owned()))),
            ("allocate release --base=b a", Some((Wanted::Allocated(Some(b"b".to_vec())), "|a".to_owned()))),
        ] {
            assert_eq!(ask(line), wanted, "{line}");
        }
    }

    #[test]
    fn the_options_that_are_typed_already_count() {
        let words = ["get", "--endpoints", "a:1,b:2", "--namespace=/n/", "-o", "json", "/x"].map(OsString::from);
        let over = asked(&words).map(|asked| asked.global.overrides()).unwrap_or_default();
        assert_eq!(over.endpoints, Some(vec!["a:1".to_owned(), "b:2".to_owned()]));
        assert_eq!(over.namespace, Some(b"/n/".to_vec()));
    }
}
