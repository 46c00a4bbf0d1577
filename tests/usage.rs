//! Wrong usage, help, and that the help tells the truth.

use std::ffi::OsString;

use super::support::{Kvadm, shared, unique_prefix};

fn grammar() -> clap::Command {
    kvadm::command()
}

fn verbs() -> Vec<String> {
    grammar().get_subcommands().map(|verb| verb.get_name().to_owned()).filter(|verb| verb != "help").collect()
}

fn kvadm() -> Kvadm {
    Kvadm::new()
}

#[test]
fn without_arguments_the_help_is_shown() {
    let run = kvadm().run();
    run.code(2).out_empty().err_has("Usage: kvadm");
    for verb in verbs() {
        run.err_has(&format!("  {verb}"));
    }
    kvadm().arg("--version").run().ok().out(concat!("kvadm ", env!("CARGO_PKG_VERSION"), "\n")).err_empty();
    kvadm().arg("-V").run().ok().out_has("kvadm ");
}

#[test]
fn unknown_verbs_and_flags_are_refused_with_a_suggestion() {
    let verb = kvadm().args(["gett", "/a"]).run();
    verb.code(2).out_empty().err_has("unrecognized subcommand 'gett'").err_has("'get'");
    for verb in verbs() {
        let run = kvadm().args([verb.as_str(), "--no-such-flag"]).run();
        run.code(2).out_empty().err_has("--no-such-flag").err_has("Usage: kvadm");
    }
    kvadm().args(["put", "/a", "x", "--craete"]).run().code(2).out_empty().err_has("--create");
    // A bare word that etcdctl knows is no verb here.
    kvadm().args(["del", "/a"]).run().code(2).out_empty().err_has("tip: kvadm delete /a");
}

/// A mistyped option is never written as the value; what is to be written although it looks like one goes behind `--`.
#[test]
fn a_value_that_looks_like_an_option_is_refused() {
    let (etcd, key) = (shared(), format!("{}a", unique_prefix()));
    let run = |args: &[&str]| kvadm().endpoint(etcd).args(["put", &key]).args(args).run();
    for value in ["--craete", "--x", "-x", "--if-locked-by=me"] {
        run(&[value]).code(2).out_empty().err_has("unexpected argument '-");
    }
    run(&["--craete"])
        .code(2)
        .err_has("'--create'")
        .err_has("  tip: to write --craete as the value: kvadm --endpoints ")
        .err_has(&format!(" put {key} -- --craete\n"));
    let compare = run(&["x", "--if-value", "--create"]);
    compare
        .code(2)
        .out_empty()
        .err_has("  tip: to compare with --create: kvadm --endpoints ")
        .err_has(" x --if-value=--create\n");
    kvadm().endpoint(etcd).args(["delete", &key, "--if-value", "--prev"]).run().code(2).out_empty();
    kvadm().endpoint(etcd).args(["get", &key]).run().code(1);
    for (args, value) in [
        (&["--", "--craete"][..], "--craete"),
        (&["-5"], "-5"),
        (&["-0.5", "--if-value", "-5"], "-0.5"),
        (&["v", "--if-value=-0.5"], "v"),
        (&["--ttl", "60s", "--", "-x"], "-x"),
        (&["w", "--if-value=-x"], "w"),
    ] {
        run(args).ok();
        kvadm().endpoint(etcd).args(["get", &key]).run().ok().out(&format!("{value}\n"));
    }
}

#[test]
fn suggested_lines_are_quoted_for_the_shell() {
    let etcd = shared();
    let name = format!("{}it's a lock", unique_prefix());
    let quoted = format!("'{}'", name.replace('\'', "'\\''"));
    let mut held = kvadm().endpoint(etcd).args(["lock", &name]).spawn();
    assert!(held.next_line().is_some());
    let busy = kvadm().endpoint(etcd).args(["lock", &name, "--try"]).run();
    busy.code(1)
        .err_has(&format!("hint: 'kvadm --endpoints {} lock --list {quoted}' shows the holder", etcd.endpoint()));
    held.signal(nix::sys::signal::Signal::SIGTERM);
    let _ended = held.wait();
    kvadm().endpoint(etcd).args(["put", &name, "x"]).run().ok();
    let revert = kvadm().endpoint(etcd).args(["put", &name, "--revert-to", "1"]).run();
    revert.code(1).err_has(&format!("hint: 'kvadm --endpoints {} get {quoted} --history' shows", etcd.endpoint()));
}

#[test]
fn every_help_is_on_stdout_and_names_the_verbs_flags() {
    for short in ["-h", "--help"] {
        kvadm().arg(short).run().ok().out_has("Usage: kvadm").err_empty();
    }
    for verb in grammar().get_subcommands().filter(|verb| verb.get_name() != "help") {
        let run = kvadm().args([verb.get_name(), "--help"]).run();
        run.ok().out_has(&format!("Usage: kvadm {}", verb.get_name())).out_has("Examples:").err_empty();
        for flag in verb.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long()) {
            run.out_has(&format!("--{flag}"));
        }
        for heading in ["Connection:", "Output:"] {
            run.out_has(heading);
        }
        kvadm().args([verb.get_name(), "-h"]).run().ok().out_has("Usage: kvadm").err_empty();
    }
}

/// clap's derive recognizes an option with an optional value by the name of its type.
#[test]
fn every_verb_takes_a_bare_if_locked_from_the_environment() {
    for line in [
        "get /a",
        "list /a",
        "put /a b",
        "put --from -",
        "delete /a",
        "delete --prefix /a",
        "txn -",
        "allocate new a --node n",
        "allocate hold a --node n",
        "allocate release a --node n",
    ] {
        let run = |lock: &str| kvadm().args(line.split(' ')).arg("--if-locked").env("KVADM_LOCK", lock).run();
        run("").code(2).out_empty().err_has("--if-locked has no lock: KVADM_LOCK is not set");
        run("nonsense").code(2).out_empty().err_has("KVADM_LOCK: 'nonsense' is not LOCKKEY@REVISION");
    }
}

/// The lines of a verb's help below a heading.
fn section(help: &str, heading: &str) -> String {
    let behind = help.split_once(&format!("\n{heading}:\n")).unwrap_or_else(|| panic!("no {heading}:\n{help}")).1;
    behind.split("\n\n").next().unwrap_or_default().to_owned()
}

#[test]
fn options_stand_under_their_headings() {
    let help = |verb: &str| kvadm().args([verb, "-h"]).run().ok().stdout_text();
    // Long help has blank lines inside a section; so this is the short help with nothing left out.
    let long = |verb: &str| {
        let verb = grammar().find_subcommand(verb).unwrap().clone();
        verb.mut_args(|arg| arg.hide_short_help(false)).render_help().to_string()
    };
    for verb in ["get", "put", "txn"] {
        let text = section(&long(verb), "Protobuf values");
        let names = text.split_whitespace().filter(|word| ["--proto", "--message", "--no-proto"].contains(word));
        assert_eq!(names.collect::<Vec<_>>(), ["--proto", "--message", "--no-proto"], "{verb}");
        let rows = text.lines().filter(|line| line.trim_start().starts_with("--"));
        assert_eq!(rows.count(), 3, "{text}");
    }
    for (verb, heading, option) in [
        ("get", "Options", "--escape"),
        ("delete", "Options", "--save"),
        ("delete", "Options", "--atomic"),
        ("delete", "Options", "--prev"),
        ("delete", "Conditions", "--if-locked"),
        ("list", "Options", "--if-locked"),
        ("watch", "Arguments", "[CMD]..."),
        ("put", "Arguments", "[CMD]..."),
    ] {
        assert!(section(&long(verb), heading).contains(option), "{verb} {heading} {option}:\n{}", long(verb));
    }
    assert!(section(&help("delete"), "Options").contains("--yes"));
}

/// An option that follows flattened ones must not end up under their heading.
#[test]
fn no_option_of_any_verb_stands_under_a_foreign_heading() {
    fn all(command: &clap::Command) -> Vec<clap::Command> {
        let below = command.get_subcommands().filter(|verb| verb.get_name() != "help").flat_map(all);
        std::iter::once(command.clone()).chain(below).collect()
    }
    for verb in all(&grammar()).iter().skip(1) {
        for arg in verb.get_arguments().filter(|arg| !arg.is_global_set()) {
            let (id, heading) = (arg.get_id().as_str(), arg.get_help_heading());
            let place = format!("{} {id} under {heading:?}", verb.get_name());
            let of_proto = ["proto", "message", "no_proto"].contains(&id);
            assert_eq!(heading == Some("Protobuf values"), of_proto, "{place}");
            let general = arg.is_positional() || ["escape", "yes", "dry-run", "save", "atomic", "prev"].contains(&id);
            let of_own = ["watch", "gc", "ids", "locks", "metadata"].contains(&verb.get_name());
            assert!(!general || heading.is_none() || of_own && !arg.is_positional(), "{place}");
            let headings = [None, Some("Conditions")];
            assert!(id != "if_locked" || headings.contains(&heading), "{place}");
            assert!(heading != Some("Connection") && heading != Some("Output"), "{place}");
        }
    }
}

#[test]
fn only_verbs_that_change_something_take_yes_and_dry_run() {
    fn leaves(command: &clap::Command, path: &str) -> Vec<(String, bool)> {
        let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help");
        let below: Vec<_> = verbs.flat_map(|verb| leaves(verb, &format!("{path} {}", verb.get_name()))).collect();
        if below.is_empty() {
            let takes = |name| command.get_arguments().any(|arg| arg.get_long() == Some(name) && !arg.is_hide_set());
            // What 'check' and 'status' write is their own and is removed: there is nothing to confirm.
            // 'config init' and 'config use' ask nothing either.
            let asks_nothing = [" check", " status", " config init", " config use"];
            assert!(takes("yes") == takes("dry-run") || asks_nothing.contains(&path), "{path}");
            return vec![(
                path.trim_start().to_owned(),
                takes("yes") || path.starts_with(" config") && takes("dry-run"),
            )];
        }
        below
    }
    let reads: Vec<String> =
        leaves(&grammar(), "").into_iter().filter(|(_, changes)| !changes).map(|(verb, _)| verb).collect();
    let expected = [
        "get",
        "list",
        "watch",
        "diff",
        "lease list",
        "lease show",
        "allocate get",
        "allocate lookup",
        "allocate list",
        "allocate watch",
        "status",
        "member list",
        "top",
        "check",
        "snapshot verify",
        "auth status",
        "auth diff",
        "auth export",
        "auth who-can",
        "user list",
        "user show",
        "role list",
        "role show",
        "downgrade status",
        "downgrade validate",
        "config list",
        "config test",
        "completions",
        "version",
    ];
    assert_eq!(reads, expected);
    let run = kvadm().args(["get", "/a", "--yes"]).run();
    run.code(2).out_empty().err_has("unexpected argument '--yes'");
}

#[test]
fn help_and_version_are_verbs_too() {
    for words in [&["get"][..], &["lease", "revoke"], &["gc", "metadata"]] {
        let long = kvadm().args(words).arg("--help").run().ok().stdout_text();
        kvadm().arg("help").args(words).run().ok().out(&long).err_empty();
    }
    let own = kvadm().arg("--help").run().ok().stdout_text();
    kvadm().arg("help").run().ok().out(&own).err_empty();
    for group in ["\nData:\n  get ", "\nCoordination:\n  lock ", "\nMaintenance:\n  status ", "\nSetup:\n  config "] {
        assert!(own.contains(group), "{own}");
    }
    assert!(!own.contains("Commands:"), "{own}");
    // Help of help is help, too; 'help' and its verbs may have an option before and behind them.
    for option in ["-h", "--help"] {
        kvadm().args(["help", option]).run().ok().out(&own).err_empty();
        kvadm().args(["-o", "json", "help", option, option]).run().ok().out(&own).err_empty();
        let get = kvadm().args(["get", "--help"]).run().ok().stdout_text();
        kvadm().args(["help", "get", option]).run().ok().out(&get).err_empty();
        kvadm().args(["help", option, "get"]).run().ok().out(&get).err_empty();
        let revoke = kvadm().args(["lease", "revoke", "--help"]).run().ok().stdout_text();
        kvadm().args(["help", "lease", "revoke", option]).run().ok().out(&revoke).err_empty();
        let unknown = kvadm().args(["help", "gett", option]).run();
        unknown.code(2).out_empty().err_has("unrecognized subcommand 'gett'");
    }
    kvadm().args(["help", "--helpp"]).run().code(2).out_empty().err_has("unrecognized subcommand '--helpp'");
    kvadm().args(["help", "gett"]).run().code(2).out_empty().err_has("unrecognized subcommand 'gett'");
    let version = env!("CARGO_PKG_VERSION");
    kvadm().arg("version").run().ok().out(&format!("kvadm {version}\n")).err_empty();
    assert_eq!(kvadm().args(["version", "-o", "json"]).run().ok().json(), serde_json::json!({ "version": version }));
    // No configuration is needed, and a bad one does not matter.
    kvadm().args(["-c", "/nowhere.yaml", "version"]).run().ok().out_has(version).err_empty();
}

/// A word of a shell line, or an operator between commands.
#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    /// `|`, `&&`, `||`, `;`, `&`: another command begins.
    Next,
    /// `<`, `>`: a file name follows.
    Redirect,
}

/// As much of the shell's grammar as examples use.
fn tokens(line: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                word.extend(chars.by_ref().take_while(|inner| *inner != c));
            }
            '|' | '&' | ';' | '<' | '>' | ' ' | '#' => {
                found.extend(word.take().map(Token::Word));
                match c {
                    '#' => break,
                    ' ' => {}
                    '<' | '>' => found.push(Token::Redirect),
                    _ => {
                        chars.next_if_eq(&c);
                        found.push(Token::Next);
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    found.extend(word.map(Token::Word));
    found
}

/// The kvadm commands of a shell line, each as its words.
pub(super) fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut tokens = tokens(line).into_iter();
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => all.last_mut().unwrap().push(word),
            Token::Next => all.push(Vec::new()),
            Token::Redirect => drop(tokens.next()),
        }
    }
    let assignment = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    };
    let strip = |words: Vec<String>| words.into_iter().skip_while(assignment).collect::<Vec<_>>();
    all.into_iter().map(strip).filter(|words| words.first().is_some_and(|word| word == "kvadm")).collect()
}

#[test]
fn shell_lines_are_split_as_a_shell_would() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        commands("kvadm get /a > out && A_B=1 kvadm put /a -"),
        [words("kvadm get /a"), words("kvadm put /a -")]
    );
    assert_eq!(commands("echo 'x | kvadm' | kvadm txn -  # why"), [words("kvadm txn -")]);
    assert_eq!(commands("kvadm list --match '*a b*'")[0][3], "*a b*");
}

/// What the help shows has to be accepted by the grammar.
#[test]
fn every_example_parses() {
    let mut helps = vec![kvadm().arg("--help").run()];
    helps.extend(verbs().iter().map(|verb| kvadm().args([verb.as_str(), "--help"]).run()));
    for help in &helps {
        let text = help.ok().stdout_text();
        let (_, examples) = text.rsplit_once("Examples:\n").unwrap_or_else(|| panic!("no examples in {}", help.shown));
        // A line that ends with a backslash continues.
        let examples = examples.replace("\\\n", " ");
        let lines = examples.lines().take_while(|line| line.starts_with("  "));
        let found: Vec<Vec<String>> = lines.flat_map(commands).collect();
        assert!(!found.is_empty(), "no example in {}", help.shown);
        for words in found {
            let parsed = grammar().try_get_matches_from(words.iter().map(OsString::from));
            assert!(parsed.is_ok(), "{}: {words:?}\n{}", help.shown, parsed.unwrap_err());
        }
    }
}

#[test]
fn missing_and_conflicting_arguments_are_refused_before_anything_is_dialled() {
    let cases: [&[&str]; 18] = [
        &["get"],
        &["put"],
        &["put", "/a"],
        &["put", "/a", "x", "y"],
        &["put", "/a", "x", "--create", "--update"],
        &["put", "/a", "x", "--create", "--if-rev", "3"],
        &["put", "/a", "x", "--if-rev", "0"],
        &["put", "/a", "x", "--ttl", "500ms"],
        &["put", "/a", "x", "--ttl", "5"],
        &["put", "/a", "x", "--ttl", "5s", "--lease", "1"],
        &["put", "/a", "x", "--from", "-"],
        &["delete"],
        &["delete", "/a", "--prefix", "/b"],
        &["list", "/a", "--from", "/b"],
        &["list", "--from", "/b", "--to", "/a"],
        &["txn"],
        &["status", "--wait", "5s", "--watch"],
        &["completions", "tcsh"],
    ];
    for args in cases {
        let run = kvadm().args(["--endpoints", "127.0.0.1:1"]).args(args).run();
        run.code(2).out_empty().err_has("error: ").err_lacks("panicked");
    }
}

#[test]
fn bad_global_values_are_named() {
    let cases = [
        (["--endpoints", ""], "endpoint"),
        (["--endpoints", "ftp://h"], "unknown scheme 'ftp://'"),
        (["--endpoints", "h:0"], "'0' is not a valid port (use 1 to 65535)"),
        (["--op-timeout", "5"], "did you mean 5s?"),
        (["--deadline", "0s"], "must be greater than zero"),
        (["--qps", "0"], "must be a number of requests per second greater than 0"),
        (["--qps", "nan"], "must be a number of requests per second greater than 0"),
        (["--output", "xml"], "--output"),
        (["--color", "blue"], "--color"),
        (["--user", "a:b"], "'NAME:PASSWORD' is not accepted here; give only the name"),
    ];
    for (flag, words) in cases {
        kvadm().args(flag).args(["get", "/a"]).run().code(2).out_empty().err_has(words);
    }
}

/// A script that asked for JSON gets it for every failure.
#[test]
fn wrong_usage_is_json_where_json_was_asked_for() {
    let cases: [&[&str]; 5] = [
        &["-o", "json", "get"],
        &["get", "-ojson"],
        &["put", "/a", "x", "--no-such-flag", "--output=json"],
        &["-o", "json", "nope"],
        &["get", "/a", "--endpoints", "ftp://h", "--output", "json"],
    ];
    for args in cases {
        let run = kvadm().args(args).run();
        let error = run.code(2).out_empty().err_json();
        assert_eq!(error["exit_code"], 2, "{error}");
        assert!(!error["error"].as_str().unwrap().is_empty(), "{error}");
    }
    // What stands behind `--` is no option.
    kvadm().args(["get", "--no-such-flag", "--", "-o", "json"]).run().code(2).err_has("error: unexpected argument");
}

#[test]
fn options_stand_before_and_behind_the_verb() {
    let key = format!("{}a", unique_prefix());
    let endpoints = shared().endpoint();
    kvadm().args(["put", &key, "-1", "--endpoints", &endpoints]).run().ok();
    kvadm().args(["--endpoints", &endpoints, "get", &key]).run().ok().out("-1\n");
    kvadm().args(["get", "--endpoints", &endpoints, "--", &key]).run().ok().out("-1\n");
    // A key that looks like an option goes behind `--`.
    kvadm().args(["get", "--endpoints", &endpoints, "--", "--no-such-key"]).run().code(1).out_empty();
    kvadm().args(["get", "", "--endpoints", &endpoints]).run().code(2).out_empty().err_has("the key is empty");
}
