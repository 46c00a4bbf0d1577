//! `gc ids` beside agents that behave as Cilium's do: each takes the ID of a key from its own watch cache once it holds
//! the key's lock, and writes its reference without comparing the master (`lockedAllocate` in Cilium's `pkg/allocator`).
//! The caches lag.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use etcd_client::{
    Client, Compare, CompareOp, EventType, GetOptions, LockOptions, PutOptions, Txn, TxnOp, WatchOptions,
};
use nix::sys::signal::Signal;
use tokio::sync::Mutex;

use super::lock_faults::Dice;
use super::support::{Etcd, Kvadm, eventually, time_limit};

const BASE: &str = "agents";
const AGENTS: u64 = 4;
const KEYS: u64 = 600;
/// The range of IDs is hardly larger than the number of keys, so that an ID soon gets another key.
const LAST_ID: u64 = 700;
/// The caches of the agents lag by less than the settle time of gc, 1 s.
const MAX_LAG: Duration = Duration::from_millis(600);

/// What an agent knows of the masters: late.
#[derive(Default)]
struct Cache {
    ids: HashMap<String, u64>,
    keys: HashMap<u64, String>,
}

impl Cache {
    fn apply(&mut self, event: EventType, id: u64, key: &str) {
        if let Some(old) = self.keys.remove(&id)
            && self.ids.get(&old) == Some(&id)
        {
            self.ids.remove(&old);
        }
        if event == EventType::Put {
            self.ids.insert(key.to_owned(), id);
            self.keys.insert(id, key.to_owned());
        }
    }
}

fn path(rest: &str) -> String {
    format!("{BASE}/{rest}")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Follows the masters with this lag.
async fn follow(mut client: Client, lag: Duration, cache: Arc<Mutex<Cache>>) {
    let options = WatchOptions::new().with_prefix().with_start_revision(1);
    let mut stream = client.watch(path("id/"), Some(options)).await.unwrap();
    let (late, mut queue) = tokio::sync::mpsc::unbounded_channel::<(tokio::time::Instant, EventType, u64, String)>();
    tokio::spawn(async move {
        while let Some((due, event, id, key)) = queue.recv().await {
            tokio::time::sleep_until(due).await;
            cache.lock().await.apply(event, id, &key);
        }
    });
    while let Ok(Some(response)) = stream.message().await {
        let due = tokio::time::Instant::now() + lag;
        for event in response.events() {
            let kv = event.kv().unwrap();
            let id = text(kv.key()).rsplit('/').next().unwrap().parse().unwrap();
            if late.send((due, event.event_type(), id, text(kv.value()))).is_err() {
                return;
            }
        }
    }
}

struct Agent {
    client: Client,
    node: String,
    lease: i64,
    cache: Arc<Mutex<Cache>>,
    dice: Dice,
}

impl Agent {
    /// Cilium's `lockedAllocate`: gives whether the key has an ID now.
    async fn allocate(&mut self, key: &str) -> bool {
        let options = LockOptions::new().with_lease(self.lease);
        let locked = self.client.lock(path(&format!("locks/{key}")), Some(options)).await.unwrap();
        let lock = locked.key().to_vec();
        let held = Compare::create_revision(lock.clone(), CompareOp::Greater, 0);
        let known = self.cache.lock().await.ids.get(key).copied();
        let id = match known {
            Some(id) => Some(id),
            None => self.reference(key).await,
        };
        let id = match id {
            Some(id) => Some(id),
            None => self.create(key, held.clone()).await,
        };
        let done = match id {
            None => false,
            Some(id) => {
                let put = TxnOp::put(
                    path(&format!("value/{key}/{}", self.node)),
                    id.to_string(),
                    Some(PutOptions::new().with_lease(self.lease)),
                );
                self.client.txn(Txn::new().when([held]).and_then([put])).await.unwrap().succeeded()
            }
        };
        self.client.unlock(lock).await.unwrap();
        done
    }

    /// An ID that a reference of the key names.
    async fn reference(&mut self, key: &str) -> Option<u64> {
        let options = GetOptions::new().with_prefix();
        let found = self.client.get(path(&format!("value/{key}/")), Some(options)).await.unwrap();
        found.kvs().first().and_then(|kv| text(kv.value()).parse().ok())
    }

    /// A new master with an ID that the cache does not know.
    async fn create(&mut self, key: &str, held: Compare) -> Option<u64> {
        let id = {
            let cache = self.cache.lock().await;
            (0..64).map(|_| 1 + self.dice.below(LAST_ID)).find(|id| !cache.keys.contains_key(id))?
        };
        let master = path(&format!("id/{id}"));
        let missing = Compare::version(master.clone(), CompareOp::Equal, 0);
        let txn = Txn::new().when([missing, held]).and_then([TxnOp::put(master, key, None)]);
        self.client.txn(txn).await.unwrap().succeeded().then_some(id)
    }

    async fn release(&mut self, key: &str) {
        self.client.delete(path(&format!("value/{key}/{}", self.node)), None).await.unwrap();
    }

    async fn run(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            let key = format!("k{};", self.dice.below(KEYS));
            if self.allocate(&key).await {
                self.release(&key).await;
            }
        }
        // At the end each agent holds some keys.
        for _ in 0..20 {
            let key = format!("k{};", self.dice.below(KEYS));
            self.allocate(&key).await;
        }
    }
}

/// Replays the whole history: at no time do references of two keys name one ID. Gives the number of deleted masters.
async fn replay(client: &mut Client) -> u64 {
    let last = client.get("x", None).await.unwrap().header().unwrap().revision();
    client.put(path("end"), "", None).await.unwrap();
    let options = WatchOptions::new().with_prefix().with_start_revision(1);
    let mut stream = client.watch(path(""), Some(options)).await.unwrap();
    let mut users: HashMap<u64, BTreeMap<String, u64>> = HashMap::new();
    let mut references: HashMap<String, u64> = HashMap::new();
    let mut deleted = 0;
    while let Some(response) = stream.message().await.unwrap() {
        for event in response.events() {
            let kv = event.kv().unwrap();
            if kv.mod_revision() > last {
                return deleted;
            }
            let name = text(kv.key());
            let is_put = event.event_type() == EventType::Put;
            if name.starts_with(&path("id/")) {
                deleted += u64::from(!is_put);
            }
            let Some((key, _)) = name.strip_prefix(&path("value/")).and_then(|rest| rest.rsplit_once('/')) else {
                continue;
            };
            if let Some(old) = references.remove(&name) {
                let keys = users.get_mut(&old).unwrap();
                *keys.get_mut(key).unwrap() -= 1;
                keys.retain(|_, number| *number > 0);
            }
            if is_put {
                let id: u64 = text(kv.value()).parse().unwrap();
                references.insert(name.clone(), id);
                let keys = users.entry(id).or_default();
                *keys.entry(key.to_owned()).or_default() += 1;
                assert!(keys.len() < 2, "revision {}: ID {id} has the keys {keys:?}", kv.mod_revision());
            }
        }
    }
    panic!("the watch ended");
}

/// `KVADM_TEST_REMOVALS` sets the number of removals; `KVADM_TEST_SEED` chooses the keys.
#[test]
fn an_id_never_has_two_keys_beside_agents_whose_caches_lag() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let wanted = number("KVADM_TEST_REMOVALS", 600);
    let seed = time_limit::seed("KVADM_TEST_SEED");
    let limit = Duration::from_secs(60 + wanted / 20);
    time_limit::extend(limit + Duration::from_secs(120));
    let etcd = Etcd::start();
    let kvadm = || Kvadm::new().env("KVADM_ENDPOINTS", etcd.endpoint());
    let service = kvadm()
        .args(["gc", "ids", "--base", BASE, "--apply", "--yes", "--every", "50ms", "--max-percent", "100"])
        .args(["--min", "1", "--max", &LAST_ID.to_string(), "-o", "json"])
        .timeout(limit * 2)
        .spawn();
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut agents = Vec::new();
    for index in 0..AGENTS {
        let (endpoint, over, ended) = (etcd.endpoint(), Arc::clone(&over), Arc::clone(&ended));
        agents.push(runtime.spawn(async move {
            let mut client = Client::connect([endpoint], None).await.unwrap();
            let lease = client.lease_grant(600, None).await.unwrap().id();
            let cache = Arc::new(Mutex::new(Cache::default()));
            let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(index) | 1);
            let lag = MAX_LAG.mul_f64(0.25 + 0.25 * f64::from(u32::try_from(dice.below(4)).unwrap()));
            tokio::spawn(follow(client.clone(), lag, Arc::clone(&cache)));
            let mut agent = Agent { client, node: format!("n{index}"), lease, cache, dice };
            agent.run(&over).await;
            ended.fetch_add(1, Ordering::SeqCst);
        }));
    }
    let removed = || -> u64 {
        let rounds = text(&service.stdout());
        let lines = rounds.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter_map(|round| round["removed"].as_u64()).sum()
    };
    let begun = Instant::now();
    eventually("the removals", limit, || removed() >= wanted || agents.iter().any(|agent| agent.is_finished()));
    over.store(true, Ordering::SeqCst);
    eventually("the agents to end", limit, || ended.load(Ordering::SeqCst) == AGENTS);
    for agent in agents {
        runtime.block_on(agent).unwrap();
    }
    let total = removed();
    service.signal(Signal::SIGTERM);
    let run = service.wait();
    run.signal(Signal::SIGTERM);
    let count = |name: &str| -> u64 { run.json_lines().iter().filter_map(|round| round[name].as_u64()).sum() };
    let conflicts: u64 = count("conflicts");
    eprintln!(
        "{total} removed in {:.1} s, {} restored, {} changed, {conflicts} conflicts",
        begun.elapsed().as_secs_f64(),
        count("restored"),
        count("changed"),
    );
    assert_eq!((conflicts, count("unverified"), count("failed"), count("unknown")), (0, 0, 0, 0));
    let deleted = runtime.block_on(async {
        let mut client = Client::connect([etcd.endpoint()], None).await.unwrap();
        replay(&mut client).await
    });
    assert!(deleted >= wanted, "{deleted} masters were deleted");
    // Each reference names an ID whose master holds its key.
    let held = etcd.held_under(path(""));
    let masters: HashMap<String, String> = held
        .iter()
        .filter_map(|held| Some((text(&held.key).strip_prefix(&path("id/"))?.to_owned(), held.text())))
        .collect();
    for held in &held {
        let name = text(&held.key);
        let Some((key, _)) = name.strip_prefix(&path("value/")).and_then(|rest| rest.rsplit_once('/')) else {
            continue;
        };
        assert_eq!(masters.get(&held.text()).map(String::as_str), Some(key), "{name} names {}", held.text());
    }
}
