//! Options that `-h` omits so that each verb's short help fits on 40 lines. `--help` and the man pages have all of it.

use clap::builder::Resettable;

use super::database::READERS;

/// Options that are rare in every verb.
const RARE: &[&str] = &["escape", "min", "max", "prefix_mask"];

/// A verb's rare options. The examples of these verbs are left out too.
const RARE_OF: &[(&str, &[&str])] = &[
    // Every verb's own help shows them.
    ("", &["output", "quiet", "verbose", "yes", "dry-run", "config"]),
    ("put", &["revert_to", "ignore_value", "prev", "if_exists", "if_different", "if_locked", "keep_lease"]),
    ("delete", &["if_exists", "if_locked"]),
    ("get", &["if_locked", "regex"]),
    (
        "list",
        &[
            "at",
            "clock",
            "if_locked",
            "regex",
            "since_rev",
            "min_mod_rev",
            "max_mod_rev",
            "min_create_rev",
            "max_create_rev",
            "with_leases",
            "sort",
            "desc",
            "trailer",
            "tree",
            "top",
            "history",
            "separator",
        ],
    ),
    ("diff", &["dir", "source_prefix", "ignore", "allow_empty"]),
    (
        "restore",
        &[
            "dir",
            "source_prefix",
            "only",
            "with_leases",
            "skip_leased",
            "allow_empty",
            "max_delete",
            "max_percent",
            "if_locked",
        ],
    ),
    (
        "watch",
        &["serializable", "from", "to", "dir", "glob", "keys_only", "prev", "timestamps", "only", "until", "on_error"],
    ),
    ("top", &["dir", "separator"]),
    ("lock", &["rw", "anonymous", "value_file", "count", "timeout"]),
    ("txn", &[]),
    ("status", &["quota", "keep_below"]),
    ("compact", &["physical"]),
    ("allocate new", &["if_locked", "wait"]),
    ("allocate hold", &["if_locked", "wait"]),
    ("allocate renew", &["wait"]),
    ("allocate release", &["if_locked"]),
    ("gc ids", &["rate"]),
    ("gc locks", &["rate"]),
    (
        "gc metadata",
        &[
            "print_schema",
            "guard",
            "roots",
            "now",
            "skew",
            "ignore_unparsed",
            "ignore_unresolved",
            "ignore_bad_times",
            "allow_empty",
            "lock",
            "wait",
            "try_once",
            "depth",
            "max_delete",
            "max_percent",
            "rate",
        ],
    ),
];

/// Whether neither the verb nor a verb of its own reads a database file.
fn refuses_database(path: &str) -> bool {
    let is_reader =
        |reader: &&str| *reader == path || reader.strip_prefix(path).is_some_and(|rest| rest.starts_with(' '));
    !path.is_empty() && !READERS.iter().any(is_reader)
}

/// Hides them from a built grammar's `-h`, and `--db` from the help of verbs that refuse it; `path` is the verb's name.
pub fn shorten(command: clap::Command, path: &str) -> clap::Command {
    let of_verb = RARE_OF.iter().find(|(verb, _)| *verb == path).map(|(_, options)| *options);
    let mut command = command.mut_args(|arg| {
        let id = arg.get_id().as_str();
        let rare = RARE.contains(&id) || of_verb.is_some_and(|options| options.contains(&id));
        if id == "db" && refuses_database(path) {
            return arg.hide(true);
        }
        if rare { arg.hide_short_help(true) } else { arg }
    });
    if let Some(examples) = command.get_after_help().filter(|_| of_verb.is_some()).cloned() {
        command = command.after_long_help(examples).after_help(Resettable::Reset);
    }
    command.mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        shorten(verb, path.trim_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb(path: &str) -> clap::Command {
        path.split(' ').filter(|name| !name.is_empty()).fold(crate::command(), |verb, name| {
            verb.find_subcommand(name).unwrap_or_else(|| panic!("no verb '{path}'")).clone()
        })
    }

    fn all(command: &clap::Command) -> Vec<clap::Command> {
        let below = command.get_subcommands().filter(|verb| verb.get_name() != "help").flat_map(all);
        std::iter::once(command.clone()).chain(below).collect()
    }

    #[test]
    fn db_is_shown_where_it_is_read() {
        for (path, shown) in
            [("get", true), ("gc", true), ("gc ids", true), ("allocate new", false), ("put", false), ("", true)]
        {
            let help = verb(path).render_long_help().to_string();
            assert_eq!(help.contains("--db <FILE>"), shown, "{path}");
        }
    }

    #[test]
    fn every_name_is_an_option() {
        for (path, options) in RARE_OF {
            let verb = verb(path);
            let has = |id: &str| verb.get_arguments().any(|arg| arg.get_id() == id);
            assert!(options.iter().all(|id| has(id)), "{path}");
        }
    }

    #[test]
    fn short_help_fits_a_screen_and_shows_the_common_options() {
        let long: Vec<String> = all(&crate::command())
            .into_iter()
            .skip(1)
            .filter_map(|mut verb| {
                let help = verb.render_help().to_string();
                for option in
                    ["--context <", "--namespace <", "--user <", "--deadline <", "--endpoints <", "--output <"]
                {
                    assert!(help.contains(option), "{} {option}:\n{help}", verb.get_name());
                }
                let lines = help.lines().count();
                (lines > 40).then(|| format!("{lines} lines:\n{help}"))
            })
            .collect();
        assert!(long.is_empty(), "{}", long.join("\n"));
    }
}
