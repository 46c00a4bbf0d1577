//! Command lines that were written for etcdctl: kvadm refuses them and says what to type.

use std::ffi::OsString;

use kvadm::cli::etcdctl::table::HABITS;
use kvadm::cli::etcdctl::tip;

use super::documents::{cells_of_etcdctl, parses};
use super::support::{Kvadm, shared, unique_prefix};
use super::usage::commands;

/// What is typed, and the line that kvadm suggests.
const LINES: &[(&str, &str)] = &[
    ("get / --prefix", "kvadm list /"),
    ("get --prefix /", "kvadm list /"),
    ("get / --prefix --keys-only", "kvadm list / --keys-only"),
    ("get / --prefix --count-only", "kvadm list / --count"),
    ("get / --prefix --limit 5 --rev=3", "kvadm list / --limit 5 --rev 3"),
    ("get / --prefix --sort-by MODIFY --order DESCEND", "kvadm list / --sort mod --desc"),
    ("get / --prefix --print-value-only", "kvadm list / -o raw"),
    ("get --prefix", "kvadm list"),
    ("get --prefix --keys-only", "kvadm list --keys-only"),
    ("get k --print-value-only", "kvadm get k"),
    ("get a b --keys-only", "kvadm list --from a --to b --keys-only"),
    ("get --from-key a", "kvadm list --from a"),
    ("get k --consistency=l", "kvadm get k"),
    ("get k --consistency=s", "kvadm get k --serializable"),
    ("get / --prefix --consistency=s", "kvadm list / --serializable"),
    ("get / --prefix --min-mod-rev 33", "kvadm list / --min-mod-rev 33"),
    ("get / --prefix --max-mod-rev 40 --keys-only", "kvadm list / --max-mod-rev 40 --keys-only"),
    ("get k -w json", "kvadm get k -o json"),
    ("get k -wjson", "kvadm get k -o json"),
    ("get k --write-out=table", "kvadm get k -o table"),
    ("get k --command-timeout 5s", "kvadm get k --op-timeout 5s"),
    ("--cacert ca.pem get k", "kvadm get k --ca-file ca.pem"),
    ("--cert c.pem --key k.pem get k", "kvadm get k --cert-file c.pem --key-file k.pem"),
    ("--endpoints=h:1 --cacert=ca.pem get k --prefix", "kvadm list k --endpoints h:1 --ca-file ca.pem"),
    ("--user root --password secret get k", "kvadm get k --user root --password-file FILE"),
    ("list / --cacert ca.pem", "kvadm list / --ca-file ca.pem"),
    ("list / --prefix", "kvadm list /"),
    ("list --prefix /", "kvadm list /"),
    ("delete / --prefix --yes", "kvadm delete --prefix / --yes"),
    ("del --prefix", "kvadm delete --prefix PREFIX"),
    ("get -w json", "etcdctl's '-w' is '-o' in kvadm"),
    ("put --cacert ca.pem", "etcdctl's '--cacert' is '--ca-file' in kvadm"),
    ("get / --prefix --hex", "bytes that are not UTF-8 are escaped; '-o json' prints them in base64"),
    ("get k --auth-jwt-token t", "kvadm get k --token-file FILE"),
    ("put k v --prev-kv", "kvadm put k v --prev"),
    ("txn", "kvadm txn --interactive"),
    ("watch -i", "'kvadm watch PREFIX...' watches any number of prefixes in one command"),
    ("elect n v", "kvadm lock n --value v"),
    ("elect n -l", "kvadm lock n --observe"),
    ("elect --listen n", "kvadm lock n --observe"),
    ("elect n", "kvadm lock n --value VALUE"),
    ("member add m4", "kvadm member add m4 --peer-urls http://HOST:2380"),
    ("member update 1f", "kvadm member update 1f --peer-urls http://HOST:2380"),
    ("member list --consistency=s", "kvadm member list --serializable"),
    ("move-leader 1f", "kvadm member move-leader 1f"),
    ("defrag", "kvadm compact --defrag --member MEMBER"),
    ("check perf --load=s", CHECK),
    ("user add u --new-user-password hunter2", "kvadm user add u --new-password-file FILE"),
    ("role grant-permission r read / --prefix=true", "kvadm role grant r read --prefix /"),
    ("role grant-permission r readwrite a b", "kvadm role grant r readwrite --from a --to b"),
    ("role revoke-permission r a --from-key", "kvadm role revoke r --from a"),
    ("role revoke-permission --prefix r /app", "kvadm role revoke r --prefix /app"),
    ("role revoke-permission --escape --prefix r /app --yes", "kvadm role revoke r --prefix /app --escape --yes"),
    ("role revoke-permission --yes --prefix r /app", "kvadm role revoke r --prefix /app --yes"),
    ("role revoke-permission --from-key r a", "kvadm role revoke r --from a"),
    ("--password-file f role revoke-permission --prefix r a", "kvadm role revoke r --prefix a --password-file f"),
    ("role revoke-permission --prefix r a --ca-file f", "kvadm role revoke r --prefix a --ca-file f"),
    ("role revoke r read foo", "kvadm role revoke r foo"),
    ("role revoke r READWRITE foo", "kvadm role revoke r foo"),
    ("role revoke r read --prefix foo", "kvadm role revoke r --prefix foo"),
    ("role revoke r read foo --prefix", "kvadm role revoke r --prefix foo"),
    ("role revoke r a b", "kvadm role revoke r --from a --to b"),
    ("--discovery-srv example.com member list -w table", "kvadm --discovery-srv example.com member list -o table"),
    ("lease renew 1f --once", "kvadm lease renew 1f"),
    ("del k", "kvadm delete k"),
    ("del / --prefix", "kvadm delete --prefix /"),
    ("del / --prefix --prev-kv", "kvadm delete --prefix / --prev"),
    ("del a b", "kvadm delete --from a --to b"),
    ("del --from-key a", "kvadm delete --from a"),
    ("put k", "kvadm put k -"),
    ("put k v --ignore-lease", "kvadm put k v --keep-lease"),
    ("watch / --prefix", "kvadm watch /"),
    ("watch / --prefix --rev 5 --prev-kv", "kvadm watch / --rev 5 --prev"),
    ("watch k --prev-kv --progress-notify", "kvadm watch --exact k --prev"),
    ("watch / --prefix -- ./handle --it", "kvadm watch / --exec -- ./handle --it"),
    ("lock n cmd", "kvadm lock n -- cmd"),
    ("lock n sleep --ttl 5", "kvadm lock n -- sleep --ttl 5"),
    ("lock --ttl 10 n sleep 5", "kvadm lock n --ttl 10s -- sleep 5"),
    ("lease grant 60", "kvadm lease grant --ttl 60s"),
    ("lease timetolive 694d7c5a1b2c3d4e", "kvadm lease show 694d7c5a1b2c3d4e"),
    ("lease timetolive 694d7c5a1b2c3d4e --keys", "kvadm lease show 694d7c5a1b2c3d4e"),
    ("lease keep-alive 694d7c5a1b2c3d4e", "kvadm lease renew 694d7c5a1b2c3d4e --every 20s"),
    ("lease keep-alive --once 694d7c5a1b2c3d4e", "kvadm lease renew 694d7c5a1b2c3d4e"),
    ("make-mirror h:1", "kvadm mirror PREFIX --source context:NAME --endpoints h:1"),
    ("endpoint health", "kvadm status"),
    ("endpoint health --cluster", "kvadm status"),
    ("endpoint status -w table", "kvadm status -o table"),
    ("endpoint", "kvadm status"),
    ("endpoint heatlh", "kvadm status"),
    (
        "endpoint hashkv --rev=3",
        "'kvadm status --consistency' compares all members at one revision, which it chooses itself",
    ),
    ("alarm", "kvadm status"),
    ("member list --hex", "kvadm member list"),
    ("member update 1f http://h:2380", "kvadm member update 1f --peer-urls http://h:2380"),
    ("lease grant 100s", "kvadm lease grant --ttl 100s"),
    ("role grant-permission r READ k", "kvadm role grant r read k"),
    ("put k v --lease=0", "kvadm put k v"),
    ("user add u --password hunter2", "kvadm user add u --new-password-file FILE"),
    ("--user root --password hunter2 user add u", "kvadm user add u --user root --password-file FILE"),
    ("-d example.com get k", "kvadm get k --discovery-srv example.com"),
    ("defrag --endpoints=h:1", "kvadm compact --defrag --member h:1 --endpoints h:1"),
    ("make-mirror --prefix /app h:1", "kvadm mirror /app --source context:NAME --endpoints h:1"),
    (
        "make-mirror --prefix /app --dest-prefix /b --rev 5 --max-txn-ops 9 h:1",
        "kvadm mirror /b --source context:NAME --source-prefix /app --endpoints h:1 --max-ops 9",
    ),
    (
        "--endpoints=o:1 make-mirror --prefix=/app --no-dest-prefix h:1 --dest-user u:hunter2 --dest-cacert ca.pem",
        "kvadm mirror '' --source context:NAME --source-prefix /app --endpoints h:1 --user u --password-file FILE \
         --ca-file ca.pem",
    ),
    (
        "make-mirror --dest-password hunter2 h:1",
        "kvadm mirror PREFIX --source context:NAME --endpoints h:1 --password-file FILE",
    ),
    ("alarm list", "kvadm status"),
    ("alarm disarm", "kvadm compact --disarm"),
    ("compaction 5", "kvadm compact 5"),
    ("compaction --physical 5", "kvadm compact 5"),
    ("defrag --cluster", "kvadm compact --defrag"),
    ("snapshot save --cacert ca.pem", "kvadm snapshot save FILE --ca-file ca.pem"),
    ("snapshot save f --cacert ca.pem", "kvadm snapshot save f --ca-file ca.pem"),
    ("snapshot hashkv f", "kvadm snapshot verify f"),
    ("endpoint hashkv", "kvadm status --consistency"),
    ("snapshot verify f -w table", "kvadm snapshot verify f -o table"),
    (
        "snapshot restore f --data-dir d --bump-revision 5 --mark-compacted",
        "'etcdutl snapshot restore f --data-dir d --bump-revision 5 --mark-compacted' creates a data directory from a \
         snapshot; 'kvadm snapshot verify f' verifies the snapshot",
    ),
    ("hashkv f --rev 5", "kvadm snapshot verify f --rev 5"),
    ("snapshot status f", "kvadm snapshot verify f"),
    ("snapshot status f -w json", "kvadm snapshot verify f -o json"),
    ("snapshot status", "kvadm snapshot verify FILE"),
    ("completion bash", "kvadm completions bash"),
    ("options", "kvadm help"),
];

/// The tip for etcdctl's load tests.
const CHECK: &str = "'kvadm status --latency' measures reads and writes of each member without loading the cluster; \
                     'kvadm check FILE' compares the results with limits";

/// Lines that mean the same in both programs.
const SAME: &[&str] = &[
    "get k",
    "put k v",
    "put k --ignore-value --lease 1f",
    "txn -i",
    "lock n",
    "lease list",
    "snapshot save f",
    "member list",
    "member add m4 --peer-urls=http://h:2380 --learner",
    "member remove 1f",
    "member promote 1f",
    "member update 1f --peer-urls http://h:2380",
    "auth status",
    "auth enable",
    "auth disable",
    "user list",
    "user add u",
    "user passwd u",
    "user get u --detail",
    "user grant-role u r",
    "user revoke-role u r",
    "role get r",
    "role grant-permission r read k",
    "role revoke-permission r k",
    "role revoke-permission r --prefix k",
    "role revoke-permission --prefix=k r",
    "user add u --no-password",
    "user delete u",
    "role list",
    "role add r",
    "role delete r",
    "downgrade validate 3.6",
    "downgrade enable 3.6",
    "downgrade cancel",
    "version",
];

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn accepts(words: &[String]) -> bool {
    let line = std::iter::once(OsString::from("kvadm")).chain(words.iter().map(OsString::from));
    kvadm::command().try_get_matches_from(line).map_or_else(|error| !error.use_stderr(), |_| true)
}

/// The lines of kvadm that a tip quotes.
fn quoted(tip: &str) -> Vec<String> {
    let inside = tip.split('\'').skip(1).step_by(2);
    inside.filter(|text| text.starts_with("kvadm ")).map(str::to_owned).collect()
}

#[test]
fn habits_are_refused_with_the_line_to_type() {
    let etcd = shared();
    let key = format!("{}k", unique_prefix());
    Kvadm::new().endpoint(etcd).args(["put", &key, "kept"]).run().ok();
    for (line, tip) in LINES {
        let run = Kvadm::new().env("KVADM_ENDPOINTS", etcd.endpoint()).args(line.split(' ')).run();
        run.code(2).out_empty().err_has(&format!("\n\n  tip: {tip}\n")).err_lacks("similar");
        assert_eq!(run.stderr_text().matches("tip:").count(), 1, "{line}: {}", run.stderr_text());
        assert!(commands(tip).iter().all(|words| accepts(&words[1..])), "{tip}");
    }
    for line in SAME {
        assert!(accepts(&words(line)), "kvadm refuses '{line}'");
    }
    for (line, tip) in
        [("help elect", "kvadm help lock"), ("help del", "kvadm help delete"), ("help endpoint", "kvadm help status")]
    {
        let run = Kvadm::new().args(line.split(' ')).run();
        run.code(2).out_empty().err_has(&format!("\n\n  tip: {tip}\n")).err_lacks("similar");
    }
    for line in ["del k", "endpoint health", "get / --prefix"] {
        let error = Kvadm::new().args(line.split(' ')).args(["-o", "json"]).run().code(2).out_empty().err_json();
        let (_, tip) = LINES.iter().find(|(typed, _)| *typed == line).unwrap();
        assert_eq!(error["hints"][0], format!("{tip} -o json"), "{error}");
    }
    Kvadm::new().endpoint(etcd).args(["get", &key]).run().ok().out("kept\n");
}

#[test]
fn every_line_that_a_tip_quotes_parses() {
    let mut lines = 0;
    for habit in HABITS {
        let typed: Vec<String> = habit
            .etcdctl
            .split(' ')
            .flat_map(|part| match part {
                "--new-user-password" | "--password" => vec![part, "secret"],
                "--rev" => vec![part, "5"],
                "--endpoints" => vec![part, "h:1"],
                part => vec![part],
            })
            .map(|part| match part.trim_end_matches("...") {
                "SHELL" => "zsh".to_owned(),
                "REV" | "TTL" => "5".to_owned(),
                "ID" => "1f".to_owned(),
                "URL" => "http://h:2380".to_owned(),
                "ACCESS" => "read".to_owned(),
                other => other.to_owned(),
            })
            .collect();
        if accepts(&typed) {
            continue;
        }
        let tip = tip(&typed, accepts).unwrap_or_else(|| panic!("no tip for {typed:?}"));
        let whole = tip.starts_with("kvadm ").then(|| tip.clone());
        for line in quoted(&tip).into_iter().chain(whole) {
            lines += 1;
            parses(&line).unwrap_or_else(|error| panic!("{tip}: {line}: {error}"));
        }
    }
    assert!(lines > 10, "{lines}");
}

#[test]
fn arguments_are_quoted_and_no_password_is_repeated() {
    for (words, line) in [
        (&["get", "/a b", "--prefix"][..], "kvadm list '/a b'"),
        (&["get", "", "--prefix"], "kvadm list ''"),
        (&["del", "it's"], "kvadm delete 'it'\\''s'"),
        (&["del", "$(reboot)"], "kvadm delete '$(reboot)'"),
        (&["del", "a\u{202e}b\u{1b}"], "kvadm delete $'a\\xe2\\x80\\xaeb\\x1b'"),
        (&["get", "k", "--user", "root:secret", "--hidden-flag", "--prefix"], ""),
        (&["--user", "root:secret", "del", "k"], "kvadm delete k --user root --password-file FILE"),
    ] {
        let run = Kvadm::new().args(words).run();
        run.code(2).out_empty().err_lacks("secret").err_lacks("\u{1b}").err_lacks("\u{202e}");
        if line.is_empty() {
            run.err_lacks("tip: kvadm");
        } else {
            run.err_has(&format!("  tip: {line}\n"));
        }
    }
}

#[test]
fn other_mistakes_keep_the_tips_of_the_parser() {
    for (line, tip) in [
        ("gett /a", "a similar subcommand exists: 'get'"),
        ("put /a x --craete", "a similar argument exists: '--create'"),
        ("lease lsit", "a similar subcommand exists: 'list'"),
    ] {
        Kvadm::new().args(line.split(' ')).run().code(2).out_empty().err_has(tip);
    }
    Kvadm::new().args(["snapshot", "sav", "x.db"]).run().code(2).err_has("a similar subcommand exists: 'save'");
    for line in ["snapshot verify", "snapshot list"] {
        Kvadm::new().args(line.split(' ')).run().code(2).out_empty().err_lacks("etcdctl");
    }
    let restore = ["snapshot", "restore", "--password", "hunter2", "--name=x", "f g"];
    let run = Kvadm::new().args(restore).run();
    run.code(2).err_lacks("hunter2").err_has("'etcdutl snapshot restore 'f g' --name=x --data-dir DIR' creates");
    for more in [&["f"][..], &[]] {
        let run = Kvadm::new().args(["snapshot", "restore", "--secret", "hunter2"]).args(more).run();
        run.code(2).err_lacks("hunter2").err_has("'etcdutl snapshot restore FILE --data-dir DIR' creates");
    }
    for line in ["get a b", "watch a b", "watch k", "watch k --rev 5"] {
        assert!(accepts(&words(line)), "the page says that kvadm accepts '{line}'");
    }
    // What kvadm lacks is not translated into something else.
    for line in ["get k --hex", "get k -w protobuf"] {
        let run = Kvadm::new().args(line.split(' ')).run();
        run.code(2).out_empty().err_lacks("tip: kvadm get").err_lacks("tip: kvadm list").err_lacks("as a value");
    }
}

/// `get a b` reads two keys; etcdctl reads what lies between them.
#[test]
fn two_keys_of_which_the_second_is_missing_may_have_been_a_range() {
    let (etcd, at) = (shared(), unique_prefix());
    let (from, to) = (format!("{at}a"), format!("{at}z y"));
    Kvadm::new().endpoint(etcd).args(["put", &from, "v"]).run().ok();
    let run = Kvadm::new().endpoint(etcd).args(["get", &from, &to]).run();
    run.code(1).out_has(&from).err_has(&format!(
        "'kvadm --endpoints {} list --from {from} --to '{to}'' prints the keys from {from} up to",
        etcd.endpoint()
    ));
    Kvadm::new().endpoint(etcd).args(["get", &to, &from]).run().code(1).err_lacks(" list ");
}

/// The page and the tips say the same: the same verb, or that kvadm has nothing.
#[test]
fn the_page_agrees_with_the_tips() {
    let mut agreed = 0;
    for (left, right) in cells_of_etcdctl() {
        for command in left.split('`').skip(1).step_by(2).filter(|text| !text.starts_with("--")) {
            let samples: [&[&str]; 7] = [&[], &["x"], &["x", "y"], &["1f"], &["5"], &["3.5"], &["x", "read", "k"]];
            let named: Vec<String> = words(command)
                .into_iter()
                .filter(|word| word != "...")
                .map(|word| match word.as_str() {
                    "SHELL" => "bash".to_owned(),
                    "REV" => "5".to_owned(),
                    _ => word,
                })
                .collect();
            let valued = |word: &String| {
                ["--rev", "--limit", "--lease", "--ttl"].contains(&word.as_str()) || word.ends_with("-rev")
            };
            let typed = |more: &[&str]| -> Vec<String> {
                let given = named.iter().flat_map(|word| {
                    let value = match word.as_str() {
                        "--sort-by" => Some("KEY"),
                        "--order" => Some("DESCEND"),
                        _ if valued(word) => Some("5"),
                        _ => None,
                    };
                    std::iter::once(word.clone()).chain(value.map(str::to_owned))
                });
                let mut line: Vec<String> = given.collect();
                let end = line.iter().position(|word| word == "--").unwrap_or(line.len());
                line.splice(end..end, more.iter().map(|word| (*word).to_owned()));
                line
            };
            // A line that kvadm accepts as it stands needs no tip.
            let mut answers = samples.iter().map(|more| (accepts(&typed(more)), tip(&typed(more), accepts)));
            let (unchanged, tip) = answers.find(|(fits, tip)| *fits || tip.is_some()).unwrap_or_default();
            let line = right.split('`').nth(1).unwrap_or_default();
            if right == "none" {
                assert!(
                    tip.iter().all(|tip| !tip.starts_with("kvadm ") || tip.starts_with("kvadm help ")),
                    "{command}: {tip:?}"
                );
                agreed += usize::from(tip.is_some());
            } else if let Some(tip) = tip.filter(|_| !unchanged) {
                let verb = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
                let same = verb(&tip) == verb(line) || tip.contains(&format!("'{}", verb(line)));
                assert!(same, "{command}: {tip:?}, but the page says {line}");
                agreed += 1;
            } else {
                assert!(unchanged, "{command} has no tip");
            }
        }
    }
    assert!(agreed > 50, "{agreed}");
}

const PROTOBUF: &str =
    "kvadm has no '--write-out=protobuf': '-o json' prints the same fields, with stable names and types";

#[test]
fn values_of_flags_that_kvadm_lacks_are_named() {
    for (line, said) in [
        (&["get", "/a", "--consistency=x"][..], "kvadm has no '--consistency=x'"),
        (
            &["get", "/a", "--write-out=fields"],
            "kvadm has no '--write-out=fields': '-o yaml' prints the fields line by line",
        ),
        (&["get", "/a", "-w", "protobuf"], PROTOBUF),
        (&["compaction", "5", "--physical=false"], "kvadm compact 5 --physical=false"),
    ] {
        Kvadm::new().args(line).run().code(2).out_empty().err_has(&format!("tip: {said}\n"));
    }
}

/// The value of an option that etcdctl has and kvadm does not know may be a password.
#[test]
fn what_may_be_a_password_is_not_repeated() {
    for line in [
        &["make-mirror", "--dest-password", "hunter2", "127.0.0.1:1"][..],
        &["make-mirror", "--dest-user", "root:hunter2", "127.0.0.1:1"],
        &["make-mirror", "--dest-password=hunter2", "127.0.0.1:1"],
        &["elect", "--new-password", "hunter2", "value"],
        &["user", "add", "root", "--new-user-password", "hunter2"],
        &["--user", "root:hunter2", "get", "/a", "--prefix"],
    ] {
        let run = Kvadm::new().args(line).run();
        run.code(2).out_empty().err_lacks("hunter2").err_has("tip: ");
    }
    let run = Kvadm::new().args(["--endpoints", "http://root:hunter2@h:1", "get", "--prefix", "/a"]).run();
    run.code(2).err_lacks("hunter2").err_has("tip: kvadm list /a --endpoints http://h:1\n");
    Kvadm::new().args(["http://root:hunter2@h:1"]).run().code(2).out_empty().err_lacks("hunter2");
    let run = Kvadm::new().args(["user", "add", "root:hunter2"]).run();
    run.code(2).out_empty().err_lacks("hunter2").err_has("'kvadm user add root' asks for the password");
    let set = ["user", "passwd", "nobody:hunter2", "--new-password-file", "-"];
    let run = Kvadm::new().endpoint(shared()).args(set).stdin("x\n").run();
    run.code(1).out_empty().err_lacks("hunter2").err_has("user not found: nobody\n");
    let run = Kvadm::new().args(["--user", "root:hunter2", "get", "/a", "--prefix"]).run();
    run.code(2).err_has("tip: kvadm list /a --user root --password-file FILE");
}

#[test]
fn a_file_without_source_gets_the_line_to_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (database, records) = (path("yesterday.db"), path("app.jsonl"));
    std::fs::write(&database, "x").unwrap();
    std::fs::write(&records, "x").unwrap();
    for (args, tip) in [
        (&["restore", "/app/", "--db", &database][..], format!("kvadm restore /app/ --source db:{database}")),
        (&["restore", &database], format!("kvadm restore PREFIX --source db:{database}")),
        (&["diff", &records], format!("kvadm diff PREFIX --source file:{records}")),
        (&["restore", "/app/", "--source", &database], format!("kvadm restore /app/ --source=db:{database}")),
        (&["diff", "/app/", "--source", &records], format!("kvadm diff /app/ --source=file:{records}")),
    ] {
        Kvadm::new().args(args).run().code(2).out_empty().err_has(&format!("  tip: {tip}\n"));
    }
    Kvadm::new().args(["restore", "/app/"]).run().code(2).err_lacks("tip:");
}
