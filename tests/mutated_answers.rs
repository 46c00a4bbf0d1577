//! Valid answers with random changes, for every operation and verb: nothing panics, nothing hangs, and nothing succeeds
//! with keys that were not requested.
//!
//! A failure names its seed; `KVADM_FUZZ_SEED=SEED` runs that case first. `KVADM_FUZZ_CASES=N` runs N cases of each test.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::support::answers::{SNAPSHOT, valid};
use super::support::library::{self, LIMIT};
use super::support::mutation::{Random, mutated_reply};
use super::support::{FakeServer, Kvadm, Run, time_limit};

const THREADS: u64 = 6;
/// Unoptimized futures are large.
const STACK: usize = 32 << 20;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The first seed: given, or another one each time.
fn first_seed() -> u64 {
    time_limit::seed("KVADM_FUZZ_SEED")
}

/// A server that changes one of a few answers, as the seed says.
struct MutatingServer {
    server: FakeServer,
    random: Arc<Mutex<(Random, usize)>>,
}

impl MutatingServer {
    fn start() -> Self {
        let random = Arc::new(Mutex::new((Random::new(0), 1)));
        let shared = Arc::clone(&random);
        let server = FakeServer::start(move |asked| {
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (random, one_in) = &mut *state;
            if random.one_in(*one_in) { mutated_reply(valid(asked), random) } else { valid(asked) }
        });
        Self { server, random }
    }

    fn seed(&self, seed: u64) {
        let mut random = Random::new(seed);
        let one_in = random.pick(&[1, 1, 2, 4]);
        *self.random.lock().unwrap_or_else(PoisonError::into_inner) = (random, one_in);
    }
}

/// Runs `case` for this many seeds, and names the seed of one that fails.
fn for_seeds(cases: u64, case: impl Fn(&MutatingServer, u64) + Sync) {
    let (first, cases) = (first_seed(), from_env("KVADM_FUZZ_CASES").unwrap_or(cases));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let case = &case;
            let run = move || {
                let server = MutatingServer::start();
                for seed in (first..first.saturating_add(cases))
                    .skip(usize::try_from(thread).unwrap())
                    .step_by(THREADS as usize)
                {
                    server.seed(seed);
                    let failed = Failed(seed);
                    case(&server, seed);
                    std::mem::forget(failed);
                }
            };
            std::thread::Builder::new()
                .name(format!("mutated-{thread}"))
                .stack_size(STACK)
                .spawn_scoped(scope, run)
                .unwrap();
        }
    });
}

/// Prints how to run a case again when the case panics.
struct Failed(u64);

impl Drop for Failed {
    fn drop(&mut self) {
        eprintln!("to run this case again: KVADM_FUZZ_SEED={}", self.0);
    }
}

#[test]
fn the_library_survives_mutated_answers() {
    let panics = Arc::new(Mutex::new(Vec::new()));
    // A panic in a task that the library starts does not reach the caller.
    let (seen, before) = (Arc::clone(&panics), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("mutated-task") {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
        }
        before(info);
    }));
    for_seeds(2000, |server, seed| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("mutated-task")
            .enable_all()
            .build()
            .unwrap();
        let namespace: &[u8] = if seed % 5 == 0 { b"/" } else { b"" };
        let operation = usize::try_from(seed % 100_000).unwrap();
        let called = runtime.block_on(async {
            let store = library::store(&server.server.endpoint(), namespace);
            tokio::time::timeout(LIMIT * 20, library::run(&store, operation)).await
        });
        runtime.shutdown_background();
        assert!(called.is_ok(), "operation {} hangs", operation % library::OPERATIONS);
        assert_eq!(*panics.lock().unwrap(), Vec::<String>::new());
    });
}

/// The command lines that are run, one a verb and form.
const VERBS: &[&[&str]] = &[
    &["get", "/a/1"],
    &["get", "/a/1", "/a/2", "/b/x", "-o", "json"],
    &["get", "/a/2", "--history=5"],
    &["list", "/a/", "-o", "json"],
    &["list", "/", "--depth", "2"],
    &["list", "/", "--du"],
    &["list", "/a/", "--count"],
    &["list", "/a/", "--with-leases"],
    &["put", "/a/1", "new"],
    &["put", "/a/1", "new", "--create"],
    &["put", "/a/1", "new", "--if-different"],
    &["put", "/a/1", "new", "--ttl", "60s"],
    &["put", "/a/1", "new", "--prev", "--keep-lease", "-o", "json"],
    &["put", "/a/1", "--ignore-value", "--ttl", "60s", "--prev"],
    &["list", "/a/", "--min-mod-rev", "3", "--max-create-rev", "30"],
    &["diff", "/a/", "--source", "rev:20"],
    &["diff", "/", "--source", "-", "-o", "json"],
    &["restore", "/a/", "--source", "rev:20", "--yes"],
    &["restore", "/a/", "--source", "-", "--yes", "--allow-empty", "--undo", "undo"],
    &["edit", "/a/1"],
    &["edit", "/a/new", "--create", "-o", "json"],
    &["delete", "/a/1", "/a/2", "--yes"],
    &["delete", "--prefix", "/a/", "--yes"],
    &["delete", "--prefix", "/a/", "--atomic", "--yes"],
    &["watch", "/a/", "--timeout", "300ms"],
    &["watch", "/a/", "--sync", "--timeout", "300ms"],
    &["watch", "/a/", "--list", "--prev", "--timeout", "300ms", "-o", "json"],
    &["lock", "/lock", "--wait", "300ms", "--", "true"],
    &["lock", "/new", "--", "true"],
    &["lock", "/lock", "--shared", "--try", "--", "true"],
    &["lock", "/new", "--value", "v", "--", "true"],
    &["lock", "/lock", "--observe", "--timeout", "300ms"],
    &["lock", "/a", "--observe", "--count", "2", "--timeout", "300ms", "-o", "json"],
    &["lock", "--list"],
    &["lease", "list"],
    &["lease", "show", "324aa1fa14dee5a6"],
    &["lease", "grant", "--ttl", "60s"],
    &["lease", "renew", "324aa1fa14dee5a6"],
    &["lease", "revoke", "324aa1fa14dee5a6", "--yes"],
    &["allocate", "list"],
    &["allocate", "check"],
    &["allocate", "get", "k8s:app=web;"],
    &["allocate", "new", "k8s:app=new;", "--node", "10.0.0.9"],
    &["gc", "ids"],
    &["gc", "locks", "/lock"],
    &["compact", "20", "--yes"],
    &["compact", "--disarm", "--yes"],
    &["compact", "--defrag", "--yes"],
    &["compact", "--defrag", "--member", "m1", "--yes"],
    &["downgrade", "status"],
    &["downgrade", "enable", "3.4", "--yes"],
    &["downgrade", "cancel", "--yes"],
    &["snapshot", "save", "-"],
    &["member", "list", "-o", "json"],
    &["member", "add", "m2", "--peer-urls", "http://127.0.0.1:2", "--learner"],
    &["member", "update", "m1", "--peer-urls", "http://127.0.0.1:2"],
    &["auth", "status", "-o", "json"],
    &["auth", "disable", "--yes"],
    &["user", "list"],
    &["user", "show", "alice", "--detail", "-o", "json"],
    &["user", "grant", "alice", "reader", "root"],
    &["user", "delete", "alice", "--yes"],
    &["role", "show", "reader", "-o", "json"],
    &["role", "delete", "reader", "--yes"],
    &["role", "revoke", "reader", "--prefix", "/a/", "--yes"],
    &["status"],
    &["status", "-o", "json"],
    &["status", "--diagnose"],
    &["check", "docs/checks/application.yaml", "-o", "json"],
    &["check", "docs/checks/cilium.yaml"],
    &["check", "docs/checks/kubernetes.yaml", "--report", "junit"],
];

#[test]
fn every_verb_survives_mutated_answers() {
    for_seeds(150, |server, seed| {
        let verb = VERBS[usize::try_from(seed % VERBS.len() as u64).unwrap()];
        let kvadm =
            Kvadm::new().endpoint(&server.server.endpoint()).args(["--op-timeout", "300ms", "--deadline", "3s"]);
        let folder = kvadm.home().to_owned();
        let kvadm = kvadm.env("EDITOR", "echo new >").env("TMPDIR", folder);
        let run = kvadm.args(verb).memory(1 << 30).timeout(Duration::from_secs(20)).run();
        let known = matches!(run.code, Some(0..=7));
        assert!(known && !run.stderr_text().contains("panicked"), "{run:?}");
        if verb[0] == "list" && run.code == Some(0) && verb.contains(&"/a/") && verb.contains(&"json") {
            check_listing(&run);
        }
        if verb[0] == "snapshot" && run.code == Some(0) {
            run.out_bytes(SNAPSHOT);
        }
    });
}

fn check_listing(run: &Run) {
    let keys: Vec<String> =
        run.json_lines().iter().map(|record| record["key"].as_str().unwrap_or("").to_owned()).collect();
    let ascending = keys.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(ascending && keys.iter().all(|key| key.is_empty() || key.starts_with("/a/")), "{run:?}");
}
