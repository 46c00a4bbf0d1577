//! Every writing verb, its requests performed by etcd and their answers spoiled in every way: 0 only if done; 3, 4 and 5 only
//! if not done and never will be; else 7.
//!
//! `KVADM_TEST_OUTCOMES=all` runs the whole product instead of a selection.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

use super::support::containerd::{NOW, Tree};
use super::support::{Etcd, Kvadm, Plan, Run, Spoil, Spoiler, unique_prefix};

/// The methods that write.
const WRITES: &[&str] = &["Put", "DeleteRange", "Txn", "LeaseGrant", "LeaseRevoke"];

const SPOILS: &[Spoil] = &[
    Spoil::Http(404),
    Spoil::Http(429),
    Spoil::Http(500),
    Spoil::Http(502),
    Spoil::Http(503),
    Spoil::Http(504),
    Spoil::NoTrailers,
    Spoil::TrailersWithoutStatus,
    Spoil::OkWithoutMessage,
    Spoil::Grpc(1),
    Spoil::Grpc(2),
    Spoil::Grpc(4),
    Spoil::Grpc(5),
    Spoil::Grpc(7),
    Spoil::Grpc(8),
    Spoil::Grpc(9),
    Spoil::Grpc(13),
    Spoil::Grpc(14),
    Spoil::Grpc(16),
    Spoil::Etcd(8, "etcdserver: mvcc: database space exceeded"),
    Spoil::Etcd(14, "etcdserver: request timed out"),
    Spoil::Etcd(14, "etcdserver: leader changed"),
    Spoil::Etcd(14, "etcdserver: server stopped"),
    Spoil::Etcd(2, "raft proposal dropped"),
    Spoil::CutBefore,
    Spoil::CutWithin,
    Spoil::CutAfter,
];

/// How much of what the verb was to do has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    Part,
    Whole,
}

fn whole(done: bool) -> Effect {
    if done { Effect::Whole } else { Effect::None }
}

/// A place of its own in the server for one run.
struct Place<'e> {
    etcd: &'e Etcd,
    prefix: String,
    /// What the preparation found out: a revision or a lease.
    fact: String,
}

impl Place<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn put(&self, name: &str, value: &str) {
        self.etcd.etcdctl_ok(&["put", "--", &self.key(name), value]);
    }

    fn has(&self, name: &str) -> bool {
        self.etcd.held(self.key(name)).is_some()
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.etcd.held(self.key(name)).is_some_and(|held| held.text() == value)
    }

    /// How many keys of these exist, as an effect of deleting or writing them.
    fn count(&self, names: &[&str], written: bool) -> Effect {
        let done = names.iter().filter(|name| self.has(name) == written).count();
        match done {
            0 => Effect::None,
            done if done == names.len() => Effect::Whole,
            _ => Effect::Part,
        }
    }

    fn kvadm(&self, args: &[&str]) -> Run {
        let run = Kvadm::new().endpoint(self.etcd).args(args).run();
        run.ok();
        run
    }
}

struct Verb {
    name: &'static str,
    prepare: fn(&mut Place<'_>),
    args: fn(&Place<'_>) -> Vec<String>,
    stdin: fn(&Place<'_>) -> String,
    effect: fn(&Place<'_>) -> Effect,
}

const NOTHING: fn(&Place<'_>) -> String = |_| String::new();
const FIVE: &[&str] = &["a", "b", "c", "d", "e"];

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn records(place: &Place<'_>) -> String {
    let line = |name: &&str| serde_json::json!({"key": place.key(name), "value": "v"}).to_string();
    FIVE.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn put_five(place: &mut Place<'_>) {
    for name in FIVE {
        place.put(name, "old");
    }
}

fn put_old(place: &mut Place<'_>) {
    place.put("k", "old");
    place.fact = place.etcd.held(place.key("k")).unwrap().modified.to_string();
}

fn grant(place: &mut Place<'_>) {
    let run = place.kvadm(&["lease", "grant", "--ttl", "600s", "-o", "json"]);
    place.fact = run.json()["lease"].as_str().unwrap().to_owned();
}

fn allocate_two(place: &mut Place<'_>) {
    let base = place.key("ids");
    for key in ["one", "two"] {
        place.kvadm(&["allocate", "new", key, "--base", &base, "--node", "n1"]).ok();
    }
}

fn unused_masters(place: &mut Place<'_>) {
    allocate_two(place);
    let base = place.key("ids");
    for key in ["one", "two"] {
        place.kvadm(&["allocate", "release", key, "--base", &base, "--node", "n1"]).ok();
    }
}

fn masters_left(place: &Place<'_>) -> Effect {
    match place.etcd.held_under(place.key("ids/id/")).len() {
        0 => Effect::Whole,
        2 => Effect::None,
        _ => Effect::Part,
    }
}

fn verbs() -> Vec<Verb> {
    vec![
        Verb {
            name: "put",
            prepare: put_old,
            args: |place| words(&["put", &place.key("k"), "new"]),
            stdin: NOTHING,
            effect: |place| whole(place.is("k", "new")),
        },
        Verb {
            name: "put --create",
            prepare: |_| {},
            args: |place| words(&["put", &place.key("k"), "new", "--create"]),
            stdin: NOTHING,
            effect: |place| whole(place.has("k")),
        },
        Verb {
            name: "put --if-value",
            prepare: put_old,
            args: |place| words(&["put", &place.key("k"), "new", "--if-value", "old"]),
            stdin: NOTHING,
            effect: |place| whole(place.is("k", "new")),
        },
        Verb {
            name: "put --if-rev",
            prepare: put_old,
            args: |place| words(&["put", &place.key("k"), "new", "--if-rev", &place.fact]),
            stdin: NOTHING,
            effect: |place| whole(place.is("k", "new")),
        },
        Verb {
            name: "put --if-different",
            prepare: put_old,
            args: |place| words(&["put", &place.key("k"), "new", "--if-different"]),
            stdin: NOTHING,
            effect: |place| whole(place.is("k", "new")),
        },
        Verb {
            name: "put --ttl",
            prepare: put_old,
            args: |place| words(&["put", &place.key("k"), "new", "--ttl", "600s"]),
            stdin: NOTHING,
            effect: |place| whole(place.is("k", "new")),
        },
        Verb {
            name: "put --revert-to",
            prepare: |place| {
                put_old(place);
                place.put("k", "newer");
            },
            args: |place| words(&["put", &place.key("k"), "--revert-to", &place.fact]),
            stdin: NOTHING,
            effect: |place| whole(place.is("k", "old")),
        },
        Verb {
            name: "put --hold",
            prepare: |place| {
                place.put("k", "old");
                let config = place.etcd.dir().join("hold.yaml");
                std::fs::write(&config, "session-ttl: 2s\n").unwrap();
                place.fact = config.to_str().unwrap().to_owned();
            },
            args: |place| {
                // The command is proof that the key was written while it ran.
                let (run, touched) = (place.key("ran"), place.etcd.endpoint());
                let script = format!("exec {} --endpoints {touched} put {run} 1", env!("CARGO_BIN_EXE_kvadm"));
                words(&["put", &place.key("k"), "new", "--hold", "-c", &place.fact, "--", "sh", "-c", &script])
            },
            stdin: NOTHING,
            effect: |place| whole(place.has("ran")),
        },
        Verb {
            name: "put --from",
            prepare: |_| {},
            args: |_| words(&["put", "--from", "-"]),
            stdin: records,
            effect: |place| place.count(FIVE, true),
        },
        Verb {
            name: "put --from --if-different",
            prepare: |place| place.put("a", "other"),
            args: |_| words(&["put", "--from", "-", "--if-different"]),
            stdin: records,
            effect: |place| if place.is("a", "v") { place.count(FIVE, true) } else { Effect::None },
        },
        Verb {
            name: "delete",
            prepare: put_old,
            args: |place| words(&["delete", &place.key("k")]),
            stdin: NOTHING,
            effect: |place| whole(!place.has("k")),
        },
        Verb {
            name: "delete --if-value",
            prepare: put_old,
            args: |place| words(&["delete", &place.key("k"), "--if-value", "old"]),
            stdin: NOTHING,
            effect: |place| whole(!place.has("k")),
        },
        Verb {
            name: "delete --if-rev",
            prepare: put_old,
            args: |place| words(&["delete", &place.key("k"), "--if-rev", &place.fact]),
            stdin: NOTHING,
            effect: |place| whole(!place.has("k")),
        },
        Verb {
            name: "delete KEY...",
            prepare: put_five,
            args: |place| {
                let mut args = words(&["delete", "--yes"]);
                args.extend(FIVE.iter().map(|name| place.key(name)));
                args
            },
            stdin: NOTHING,
            effect: |place| place.count(FIVE, false),
        },
        Verb {
            name: "delete --prefix",
            prepare: put_five,
            args: |place| words(&["delete", "--yes", "--prefix", &place.prefix]),
            stdin: NOTHING,
            effect: |place| place.count(FIVE, false),
        },
        Verb {
            name: "delete --prefix --match",
            prepare: put_five,
            args: |place| words(&["delete", "--yes", "--prefix", &place.prefix, "--match", "*"]),
            stdin: NOTHING,
            effect: |place| place.count(FIVE, false),
        },
        Verb {
            name: "delete --atomic",
            prepare: put_five,
            args: |place| words(&["delete", "--yes", "--atomic", "--prefix", &place.prefix]),
            stdin: NOTHING,
            effect: |place| place.count(FIVE, false),
        },
        Verb {
            name: "txn",
            prepare: put_old,
            args: |_| words(&["txn", "-"]),
            stdin: |place| {
                let key = place.key("k");
                serde_json::json!({"if": [{"key": key, "value": "old"}], "then": [{"put": {"key": key, "value": "new"}}]})
                    .to_string()
            },
            effect: |place| whole(place.is("k", "new")),
        },
        Verb {
            name: "lease grant",
            prepare: |_| {},
            args: |_| words(&["lease", "grant", "--ttl", "600s"]),
            stdin: NOTHING,
            // Which lease it is, only the output tells: see `judge`.
            effect: |_| Effect::Whole,
        },
        Verb {
            name: "lease grant --id",
            prepare: |place| place.fact = format!("{:x}", 1 + fresh()),
            args: |place| words(&["lease", "grant", "--ttl", "600s", "--id", &place.fact]),
            stdin: NOTHING,
            effect: |place| whole(place.etcd.leases().contains(&place.fact)),
        },
        Verb {
            name: "lease revoke",
            prepare: grant,
            args: |place| words(&["lease", "revoke", "--yes", &place.fact]),
            stdin: NOTHING,
            effect: |place| whole(!place.etcd.leases().contains(&place.fact)),
        },
        Verb {
            name: "allocate new",
            prepare: |_| {},
            args: |place| words(&["allocate", "new", "one", "--base", &place.key("ids"), "--node", "n1"]),
            stdin: NOTHING,
            effect: |place| whole(place.has("ids/value/one/n1")),
        },
        Verb {
            name: "allocate new KEY...",
            prepare: |_| {},
            args: |place| words(&["allocate", "new", "one", "two", "--base", &place.key("ids"), "--node", "n1"]),
            stdin: NOTHING,
            effect: |place| place.count(&["ids/value/one/n1", "ids/value/two/n1"], true),
        },
        Verb {
            name: "allocate release",
            prepare: allocate_two,
            args: |place| words(&["allocate", "release", "one", "--base", &place.key("ids"), "--node", "n1"]),
            stdin: NOTHING,
            effect: |place| whole(!place.has("ids/value/one/n1")),
        },
        Verb {
            name: "allocate check --repair",
            prepare: |place| {
                allocate_two(place);
                place.etcd.etcdctl_ok(&["del", "--prefix", &place.key("ids/id/")]);
            },
            args: |place| words(&["allocate", "check", "--repair", "--yes", "--base", &place.key("ids")]),
            stdin: NOTHING,
            effect: |place| match place.etcd.held_under(place.key("ids/id/")).len() {
                0 => Effect::None,
                2 => Effect::Whole,
                _ => Effect::Part,
            },
        },
        Verb {
            name: "gc ids",
            prepare: unused_masters,
            args: |place| words(&["gc", "ids", "--base", &place.key("ids"), "--apply", "--yes", "--grace", "20ms"]),
            stdin: NOTHING,
            effect: masters_left,
        },
        Verb {
            name: "gc metadata",
            prepare: |place| {
                let mut tree = Tree::new(place.etcd, &place.prefix);
                for digest in ["d1", "d2"] {
                    tree.content("ns1", digest, &[]);
                }
                tree.load();
            },
            args: |place| {
                let mut args = words(&["gc", "metadata", &place.prefix, "--schema", "containerd", "--now", NOW]);
                args.extend(words(&["--skew", "0s", "--apply", "--yes", "--roots-complete", "--grace", "1ms"]));
                args.extend(words(&["--max-percent", "100", "--allow-empty", "content"]));
                args
            },
            stdin: NOTHING,
            effect: |place| {
                let objects = |digest| place.etcd.held_under(&place.prefix).iter().any(|held| holds(&held.key, digest));
                match (objects("d1"), objects("d2")) {
                    (false, false) => Effect::Whole,
                    (true, true) => Effect::None,
                    _ => Effect::Part,
                }
            },
        },
        Verb {
            name: "gc locks",
            prepare: |place| place.put("lock/324aa1fa14dee5a6", ""),
            args: |place| words(&["gc", "locks", &place.prefix, "--apply", "--yes", "--grace", "20ms"]),
            stdin: NOTHING,
            effect: |place| whole(!place.has("lock/324aa1fa14dee5a6")),
        },
        Verb {
            name: "lock",
            prepare: |_| {},
            args: |place| {
                let (run, touched) = (place.key("ran"), place.etcd.endpoint());
                let script = format!("exec {} --endpoints {touched} put {run} 1", env!("CARGO_BIN_EXE_kvadm"));
                words(&["lock", &place.key("lock"), "--ttl", "2s", "--", "sh", "-c", &script])
            },
            stdin: NOTHING,
            effect: |place| whole(place.has("ran")),
        },
    ]
}

fn holds(key: &[u8], name: &str) -> bool {
    String::from_utf8_lossy(key).contains(name)
}

/// The verbs that concern the whole store, one after the other.
fn store_verbs() -> Vec<Verb> {
    let compact: fn(&mut Place<'_>) = |place| {
        place.put("k", "1");
        place.put("k", "2");
        place.fact = place.etcd.revision().to_string();
    };
    let compacted: fn(&Place<'_>) -> Effect = |place| {
        let before = (place.fact.parse::<i64>().unwrap() - 1).to_string();
        let run = place.etcd.etcdctl(&["get", "/", "--rev", &before]);
        whole(String::from_utf8_lossy(&run.stderr).contains("has been compacted"))
    };
    vec![
        Verb {
            name: "compact",
            prepare: compact,
            args: |place| words(&["compact", &place.fact, "--yes"]),
            stdin: NOTHING,
            effect: compacted,
        },
        Verb {
            name: "compact --physical=false",
            prepare: compact,
            args: |place| words(&["compact", &place.fact, "--yes", "--physical=false"]),
            stdin: NOTHING,
            effect: compacted,
        },
        Verb {
            name: "compact --defrag",
            prepare: |_| {},
            args: |_| words(&["compact", "--defrag", "--yes"]),
            stdin: NOTHING,
            // Nothing shows it from outside; the request that is spoiled was performed.
            effect: |_| Effect::Whole,
        },
    ]
}

/// A number that no other run has.
fn fresh() -> u64 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    (u64::from(seed) << 20) + NEXT.fetch_add(1, Ordering::SeqCst) as u64
}

fn place(etcd: &Etcd) -> Place<'_> {
    Place { etcd, prefix: unique_prefix(), fact: String::new() }
}

fn run(verb: &Verb, place: &Place<'_>, spoiler: &Spoiler) -> Run {
    let limits = ["--op-timeout", "400ms", "--dial-timeout", "400ms"];
    let kvadm = Kvadm::new().endpoint(&spoiler.endpoint()).args(limits).args((verb.args)(place));
    kvadm.stdin((verb.stdin)(place)).timeout(Duration::from_secs(20)).run()
}

/// Why the exit code is a lie, if it is one.
fn lie(verb: &Verb, place: &Place<'_>, run: &Run) -> Option<String> {
    let mut effect = (verb.effect)(place);
    if verb.name == "lease grant" {
        // The lease is not known unless it is printed; one that was granted and is not told is revoked or unknown.
        let told = run.stdout_text().split_whitespace().next().map(str::to_owned);
        let exists = told.is_some_and(|id| place.etcd.leases().contains(&id));
        effect = whole(exists);
    }
    // What ran under a lock that cannot be proved to the end is 5 by the manual.
    let under_lock = matches!(verb.name, "lock" | "put --hold");
    let holds = match run.code {
        Some(5) if under_lock => true,
        Some(0) => effect == Effect::Whole,
        Some(3..=5) => effect == Effect::None,
        // Something is left to do, and the command says what.
        Some(6) => effect != Effect::Whole,
        Some(7) => true,
        _ => false,
    };
    let code = run.code;
    (!holds).then(|| format!("{code:?} although {effect:?}: {} {}", run.stdout_text().trim(), run.stderr_text().trim()))
}

struct Case<'v> {
    verb: &'v Verb,
    spoil: Spoil,
    skip: u64,
    then_gone: bool,
}

fn cases<'v>(verbs: &'v [Verb], methods: &'static [&'static str], etcd: &Etcd) -> Vec<Case<'v>> {
    let everything = std::env::var("KVADM_TEST_OUTCOMES").is_ok_and(|value| value == "all");
    let mut cases = Vec::new();
    for (index, verb) in verbs.iter().enumerate() {
        // Without a fault, the verb does what it is for; this counts its writing requests.
        let mut place = place(etcd);
        (verb.prepare)(&mut place);
        let plan = Plan { spoil: Spoil::CutBefore, methods, skip: u64::MAX / 2, times: 1, then_gone: false };
        let spoiler = Spoiler::start(&etcd.address(), plan);
        let run = run(verb, &place, &spoiler);
        assert_eq!(run.code, Some(0), "{}: {run:?}", verb.name);
        assert_eq!(lie(verb, &place, &run), None, "{}", verb.name);
        let requests = spoiler.seen();
        assert!(requests > 0, "{} sends no writing request", verb.name);
        for (number, spoil) in SPOILS.iter().enumerate() {
            if !everything && (number + index) % 2 == 1 {
                continue;
            }
            for skip in 0..requests {
                for then_gone in [false, true] {
                    let turn = (number as u64 / 4) % requests == skip && (number / 2 % 2 == 1) == then_gone;
                    if everything || turn {
                        cases.push(Case { verb, spoil: *spoil, skip, then_gone });
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn no_verb_lies_about_an_answer_that_was_spoiled() {
    judge(&verbs(), WRITES, 8);
}

#[test]
fn no_verb_of_the_whole_store_lies_about_an_answer_that_was_spoiled() {
    judge(&store_verbs(), &["Compact", "Defragment"], 1);
}

fn judge(verbs: &[Verb], methods: &'static [&'static str], workers: usize) {
    let etcd = Etcd::start();
    let cases = cases(verbs, methods, &etcd);
    let (next, lies, codes) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let start = Barrier::new(workers);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                start.wait();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let mut place = place(&etcd);
                    (case.verb.prepare)(&mut place);
                    let (skip, then_gone) = (case.skip, case.then_gone);
                    let plan = Plan { spoil: case.spoil, methods, skip, times: 1, then_gone };
                    let spoiler = Spoiler::start(&etcd.address(), plan);
                    let run = run(case.verb, &place, &spoiler);
                    if let Some(lie) = lie(case.verb, &place, &run) {
                        let (name, spoil) = (case.verb.name, case.spoil);
                        lies.lock()
                            .unwrap()
                            .push(format!("{name}, {spoil:?} of write {skip}, gone {then_gone}: {lie}"));
                    }
                    codes.lock().unwrap().push((case.verb.name, run.code));
                }
            });
        }
    });
    let (lies, codes) = (lies.into_inner().unwrap(), codes.into_inner().unwrap());
    let mut table = String::new();
    for verb in verbs {
        let mine: Vec<_> = codes.iter().filter(|(name, _)| *name == verb.name).map(|(_, code)| code).collect();
        let unknown = mine.iter().filter(|code| ***code == Some(7)).count();
        writeln!(table, "{}: {unknown} of {} unknown", verb.name, mine.len()).unwrap();
    }
    eprintln!("{table}");
    assert!(lies.is_empty(), "{} of {}:\n{}", lies.len(), codes.len(), lies.join("\n"));
}
