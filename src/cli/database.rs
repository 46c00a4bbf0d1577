//! Which verbs read a database file (`--db`), and what to run instead of the others.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Failure;
use crate::shell;

/// The verbs that read a database file, and those that read no store at all.
pub const READERS: &[&str] = &[
    "get",
    "list",
    "diff",
    "gc ids",
    "gc locks",
    "gc metadata",
    "allocate get",
    "allocate lookup",
    "allocate list",
    "allocate check",
    "check",
    "config",
];

/// Checks that a verb can read the database file `path`. `option` is an option of the command line about the way to a cluster.
///
/// # Errors
/// A usage error that names what to run instead.
pub fn check(verb: &str, path: &Path, option: Option<&str>) -> Result<(), Failure> {
    if !READERS.contains(&verb) {
        let failure = format!("'kvadm {verb}' cannot be used with --db, which only reads a database file");
        return Err(Failure::usage(failure).hint(instead(verb, path)));
    }
    if path == Path::new("-") {
        return Err(Failure::usage("--db cannot read stdin: a database is not read from its beginning to its end")
            .hint("write the database to a file first"));
    }
    match option {
        Some(option) => Err(Failure::usage(format!("{option} cannot be used with --db, which reads a file instead"))
            .hint(format!("omit {option}, or omit --db to ask the cluster"))),
        None => Ok(()),
    }
}

/// What to run instead of a verb that does not read a database file.
fn instead(verb: &str, path: &Path) -> String {
    let first = verb.split(' ').next().unwrap_or_default();
    let text = match first {
        "restore" => {
            "'kvadm restore PREFIX --source db:FILE' writes keys of the file to a cluster; a whole cluster: \
             'etcdutl snapshot restore FILE --data-dir DIR'"
        }
        "mirror" => "'kvadm restore PREFIX --source db:FILE' writes keys of the file to a cluster once",
        "status" => "run 'kvadm snapshot verify FILE'",
        "snapshot" if verb == "snapshot verify" => "omit --db; the file is the argument: 'kvadm snapshot verify FILE'",
        "snapshot" => "run 'kvadm snapshot verify FILE' to check the file; a snapshot is taken of a running member",
        "member" => {
            "'kvadm snapshot verify FILE' prints the members that the file knows; omit --db to ask or change the cluster"
        }
        "downgrade" => "'kvadm snapshot verify FILE' prints the versions that the file has",
        "top" => "a file does not change; 'kvadm list --du --history --db FILE' shows its most rewritten keys",
        "watch" => "'kvadm get KEY --db FILE --history' prints the changes of one key in the file",
        "lock" | "lease" => {
            "a file does not tell who is alive; 'kvadm list --db FILE --with-leases -o json' prints the keys with their \
             leases"
        }
        "auth" | "user" | "role" => "a file asks for no login; omit --db to work on the users and roles of a cluster",
        "allocate" => {
            "'kvadm allocate get', 'list', 'lookup' and 'check' read a file; omit --db to change the IDs of a cluster"
        }
        "config" => "omit --db, which has no context; 'kvadm snapshot verify FILE' checks the file",
        _ => "a file is never changed; omit --db to work on the cluster",
    };
    let source = shell::quote(&[b"db:", path.as_os_str().as_bytes()].concat());
    text.replace("db:FILE", &source).replace("FILE", &shell::quote(path.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    fn names(command: &clap::Command, path: &str) -> Vec<String> {
        let verbs: Vec<&clap::Command> = command.get_subcommands().filter(|verb| verb.get_name() != "help").collect();
        let below = verbs.iter().flat_map(|verb| names(verb, &format!("{path} {}", verb.get_name())));
        // A verb whose own verbs may be omitted is one itself.
        let itself = verbs.is_empty() || !path.is_empty() && !command.is_subcommand_required_set();
        itself.then(|| path.trim_start().to_owned()).into_iter().chain(below).collect()
    }

    #[test]
    fn every_verb_reads_a_file_or_says_what_to_run_instead() {
        let verbs = names(&crate::command(), "");
        assert!(READERS.iter().all(|reader| verbs.iter().any(|verb| verb == reader)), "{verbs:?}");
        for verb in verbs {
            let checked = check(&verb, Path::new("my backup.db"), None);
            if READERS.contains(&verb.as_str()) {
                assert!(checked.is_ok(), "{verb}");
                assert!(check(&verb, Path::new("b.db"), Some("--endpoints")).is_err(), "{verb}");
            } else {
                let refused = checked.expect_err(&verb);
                assert_eq!((refused.exit.code(), refused.hints.len()), (2, 1), "{verb}");
                assert!(!refused.hints[0].contains("FILE"), "{verb}");
            }
        }
    }
}
