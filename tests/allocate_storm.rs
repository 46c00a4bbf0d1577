//! Many processes allocate and release overlapping keys in a small range while the collector runs and members come and
//! go: what an allocator promises holds at every moment, and in what is left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::support::{Cluster, Kvadm, Proxy, time_limit};

const BASE: &str = "storm";
/// Few IDs for few keys, some of which begin with another one and a slash.
const KEYS: [&str; 16] =
    ["a", "a/b", "a/b/c", "b", "k8s:x=1;", "k8s:x=1;/y", "z", "z/z", "q", "r", "s", "t", "u", "id/1", "v", "v/w"];
const RANGE: [&str; 4] = ["--min", "1", "--max", "17"];
const WORKERS: usize = 6;
const LASTS: Duration = Duration::from_secs(12);

/// Who holds what, as far as it is certain: from when an allocation has answered until its release is asked for.
#[derive(Default)]
struct Holders {
    /// Each key's ID, and how many hold it.
    held: HashMap<&'static str, (u64, usize)>,
}

impl Holders {
    fn take(&mut self, key: &'static str, id: u64) {
        if let Some((other, _)) = self.held.iter().find(|(other, (has, _))| **other != key && *has == id) {
            panic!("{key} got {id}, which {other} has");
        }
        let (has, holders) = self.held.entry(key).or_insert((id, 0));
        assert_eq!(*has, id, "{key} has {has} and got {id}");
        *holders += 1;
    }

    fn give(&mut self, key: &'static str) {
        let (_, holders) = self.held.get_mut(key).unwrap();
        *holders -= 1;
        if *holders == 0 {
            self.held.remove(key);
        }
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 20).unwrap() % n
    }
}

fn kvadm(endpoints: &str, verb: &[&str]) -> Kvadm {
    let common = ["--base", BASE, "--op-timeout", "2s", "--connect-wait", "20s"];
    Kvadm::new().env("KVADM_ENDPOINTS", endpoints).args(verb).args(common).timeout(Duration::from_secs(60))
}

/// One process after another, each allocating or releasing one key for a node of its own.
fn work(endpoints: &str, worker: usize, dice: &mut Dice, holders: &Mutex<Holders>, over: &AtomicBool) -> u64 {
    let node = format!("node{worker}");
    let mut mine: BTreeSet<&'static str> = BTreeSet::new();
    let mut done = 0;
    while !over.load(Ordering::SeqCst) {
        let key = KEYS[dice.below(KEYS.len())];
        if mine.remove(key) {
            holders.lock().unwrap().give(key);
            let run = kvadm(endpoints, &["allocate", "release", key, "--node", &node]).run();
            // 1: an earlier sending was done, and its answer lost.
            assert!(matches!(run.code, Some(0 | 1 | 3 | 6 | 7)), "{}", run.stderr_text());
            continue;
        }
        let run = kvadm(endpoints, &["allocate", "new", key, "--node", &node, "--permanent"]).args(RANGE).run();
        match run.code {
            Some(0) => {
                let id = run.stdout_text().trim().parse().unwrap();
                holders.lock().unwrap().take(key, id);
                mine.insert(key);
                done += 1;
            }
            // A full range, others that were quicker, or etcd away.
            Some(1 | 3 | 4 | 5 | 7) => {}
            code => panic!("{code:?}: {}", run.stderr_text()),
        }
    }
    done
}

#[test]
fn what_an_allocator_promises_holds_in_a_storm() {
    let seed = time_limit::seed("KVADM_TEST_SEED");
    let mut cluster = Cluster::start(3);
    let proxies: Vec<Proxy> = cluster.members.iter().map(|member| Proxy::start(&member.address())).collect();
    let endpoints = proxies.iter().map(Proxy::endpoint).collect::<Vec<_>>().join(",");
    let (holders, over) = (Mutex::new(Holders::default()), AtomicBool::new(false));
    let (allocated, collected) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (endpoints, holders, over, allocated) = (&endpoints, &holders, &over, &allocated);
            scope.spawn(move || {
                let mut dice = Dice((seed + worker as u64 * 7919) | 1);
                allocated.fetch_add(work(endpoints, worker, &mut dice, holders, over), Ordering::SeqCst);
            });
        }
        let (endpoints, over, collected) = (&endpoints, &over, &collected);
        scope.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let gc = ["gc", "ids", "--apply", "--yes", "--grace", "50ms", "--max-percent", "100", "-o", "json"];
                let run = kvadm(endpoints, &gc).args(RANGE).run();
                assert!(matches!(run.code, Some(0 | 1 | 3 | 4 | 5 | 6 | 7)), "{}", run.stderr_text());
                collected.fetch_add(removed(&run.stderr_text()), Ordering::SeqCst);
            }
        });
        let mut dice = Dice(seed | 1);
        let end = Instant::now() + LASTS;
        while Instant::now() < end {
            let at = dice.below(3);
            match dice.below(3) {
                0 => proxies[at].cut(),
                1 => {
                    cluster.members[at].kill();
                    cluster.members[at].restart();
                }
                _ => std::thread::sleep(Duration::from_millis(300)),
            }
        }
        over.store(true, Ordering::SeqCst);
    });
    let allocated = allocated.into_inner();
    let said = format!("seed {seed}: {allocated} allocations, {} collected", collected.into_inner());
    eprintln!("{said}");
    assert!(allocated > 20, "{said}");
    check_dump(&cluster, &holders.into_inner().unwrap());
}

/// The number of masters that a collection says it removed.
fn removed(json: &str) -> u64 {
    let last = json.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).next_back();
    last.and_then(|summary| summary["removed"].as_u64()).unwrap_or(0)
}

fn check_dump(cluster: &Cluster, holders: &Holders) {
    let mut masters: BTreeMap<u64, String> = BTreeMap::new();
    let mut references: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for held in cluster.members[0].held_under(format!("{BASE}/")) {
        let path = String::from_utf8(held.key.clone()).unwrap();
        let path = path.strip_prefix("storm/").unwrap().to_owned();
        if let Some(id) = path.strip_prefix("id/") {
            assert!(held.lease.is_none());
            assert!(masters.insert(id.parse().unwrap(), held.text()).is_none());
        } else if let Some(rest) = path.strip_prefix("value/") {
            let (key, _) = rest.rsplit_once('/').unwrap();
            references.entry(key.to_owned()).or_default().insert(held.text().parse().unwrap());
        } else {
            // Those of processes that etcd left no time to give them back are on leases, and go by themselves.
            assert!(path.starts_with("locks/") && held.lease.is_some(), "{path}");
        }
    }
    for (key, ids) in &references {
        assert_eq!(ids.len(), 1, "{key} has references to {ids:?}");
        let id = ids.first().unwrap();
        assert_eq!(masters.get(id), Some(key), "ID {id} of {key}");
    }
    for (key, (id, _)) in &holders.held {
        assert!(references.get(*key).is_some_and(|ids| ids.contains(id)), "{key} is held with {id}");
    }
    assert!(masters.keys().all(|id| (1..=17).contains(id)), "{masters:?}");
}
