//! The operations of the store, called inside this process: for answers in such numbers that a process each is too slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kvadm::allocator::Layout;
use kvadm::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeyRange, KeySelector, KeyValue, LeaseId, LockGuard, LockLabel, LockMode,
    LockTree, Op, ReadOptions, Retry, Store, Txn, WatchOptions, Write,
};
use kvadm::transport::{ConnectOptions, DEFAULT_TXN_OPS, Endpoint, Notice, Observer, Session, TlsFiles, Trace};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answers::LEASE;

struct Silent;

impl Observer for Silent {
    fn request(&self, _: &Trace<'_>) {}

    fn notice(&self, _: Notice, _: &str) {}

    fn traces(&self) -> bool {
        false
    }
}

/// Counts the requests with this name.
pub struct OpCounter {
    op: &'static str,
    count: AtomicUsize,
}

impl OpCounter {
    /// None yet.
    pub fn new(op: &'static str) -> Self {
        Self { op, count: AtomicUsize::new(0) }
    }

    /// How many have ended.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Observer for OpCounter {
    fn request(&self, trace: &Trace<'_>) {
        self.count.fetch_add(usize::from(trace.op == self.op), Ordering::SeqCst);
    }

    fn notice(&self, _: Notice, _: &str) {}

    fn traces(&self) -> bool {
        true
    }
}

/// The time for one operation; a request gets a fifth of it.
pub const LIMIT: Duration = Duration::from_millis(250);

/// A store at this endpoint; its requests end with [`LIMIT`].
pub fn store(endpoint: &str, namespace: &[u8]) -> Store {
    store_within(endpoint, namespace, LIMIT)
}

/// A store whose operations end after this time, and its requests after a fifth of it.
pub fn store_within(endpoint: &str, namespace: &[u8], limit: Duration) -> Store {
    store_observed(endpoint, namespace, limit, Arc::new(Silent))
}

/// The same, with an observer of its requests.
pub fn store_observed(endpoint: &str, namespace: &[u8], limit: Duration, observer: Arc<dyn Observer>) -> Store {
    let options = ConnectOptions {
        max_txn_ops: DEFAULT_TXN_OPS,
        endpoints: vec![Endpoint::parse(endpoint, false).expect("an endpoint")],
        tls: TlsFiles::default(),
        discovery: None,
        credentials: None,
        token: None,
        dial_timeout: Duration::from_secs(2),
        op_timeout: limit / 5,
        keepalive_time: Duration::from_secs(10),
        keepalive_timeout: Duration::from_secs(5),
        connect_wait: None,
        namespace: namespace.to_vec(),
        qps: None,
    };
    let session = Session { cancel: CancellationToken::new(), deadline: Some(Instant::now() + limit), observer };
    Store::new(options, session)
}

/// A store that is logged in as this user, without a deadline.
pub fn store_of_user(endpoint: &str, user: &str, password: &str) -> Store {
    let who =
        kvadm::transport::Credentials { user: user.to_owned(), password: kvadm::transport::Secret::new(password) };
    let plain = store_within(endpoint, b"", Duration::from_secs(20));
    let options = ConnectOptions { credentials: Some(who), ..plain.options().clone() };
    let session = Session { cancel: CancellationToken::new(), deadline: None, observer: Arc::new(Silent) };
    Store::new(options, session)
}

/// The number of operations that [`run`] knows.
pub const OPERATIONS: usize = 24;

/// Calls one operation. A result that contradicts what was asked for is a panic; an error never is.
pub async fn run(store: &Store, operation: usize) -> Result<(), Error> {
    let (prefix, guard) = (KeyRange::prefix(b"/a/"), LockGuard { key: b"/lock/1f".to_vec(), revision: 30 });
    let (read, lease) = (ReadOptions::default(), LeaseId(LEASE));
    match operation % OPERATIONS {
        0 => drop(store.get(b"/a/1", 0, None).await?),
        1 => drop(store.get(b"/a/1", 20, Some(&guard)).await?),
        2 => {
            let keys = [b"/a/1".to_vec(), b"/a/9".to_vec(), b"/b/x".to_vec()];
            let found = store.get_many(&keys, 0, None).await?;
            assert_eq!(found.kvs.len(), keys.len());
            for (key, kv) in keys.iter().zip(&found.kvs) {
                assert!(kv.as_ref().is_none_or(|kv| kv.key == *key), "{kv:?} for {key:?}");
            }
        }
        3 => drop(store.count(&prefix, 0, None).await?),
        4 => drop(store.count(&prefix, 20, Some(&guard)).await?),
        5 => list(store, &prefix, read).await?,
        6 => list(store, &KeyRange::prefix(b""), ReadOptions { keys_only: true, revision: 20, ..read }).await?,
        7 => list(store, &prefix, ReadOptions { limit: Some(2), guard: Some(guard), ..read }).await?,
        8 => {
            let txn = Txn {
                compares: vec![Compare::key(b"/a/1", CompareOp::Equal, CompareTarget::Value(b"one".to_vec()))],
                then: vec![
                    Op::Put(Write { key: b"/a/1".to_vec(), prev: true, ..Write::default() }),
                    Op::get_at(KeySelector::Range(prefix), 0),
                    Op::Txn(Txn { then: vec![Op::get_at(KeySelector::Key(b"/b/x".to_vec()), 0)], ..Txn::default() }),
                ],
                otherwise: vec![Op::Delete { over: KeySelector::Key(b"/a/2".to_vec()), prev: true }],
            };
            let result = store.txn("txn", &txn, None, Retry::Idempotent).await?;
            assert_eq!(result.results.len(), if result.succeeded { 3 } else { 1 });
        }
        9 => {
            let over = KeySelector::Range(prefix.clone());
            let txn = Txn { then: vec![Op::Delete { over, prev: true }], ..Txn::default() };
            let guard = Some(&guard).filter(|_| operation / OPERATIONS % 2 == 1);
            drop(store.txn("delete", &txn, guard, Retry::Never).await?);
        }
        10 => drop(store.grant(60).await?),
        11 => drop(store.keep(60).await?.state()),
        12 => drop(store.revoke(lease).await?),
        13 => drop((store.time_to_live(lease).await?, store.lease_with_keys(lease).await?)),
        14 => drop(store.query_leases(&store.leases().await?, true).await?),
        15 => drop(store.renew(lease).await?),
        16 => drop((store.members().await?, store.member_status().await?)),
        17 => drop(store.alarms().await?),
        18 => drop(store.compact(20, operation / OPERATIONS % 2 == 1).await?),
        19 => watch(store, prefix).await?,
        20 => {
            let nth = operation / OPERATIONS;
            let mode = LockMode { shared: nth % 2 == 1, rw: nth / 2 % 2 == 1 };
            let (keeper, entry) = store.contend(b"/lock", mode, LockLabel::Owner(None), 60).await?;
            let entry = entry?;
            drop(store.blocker(&entry).await?);
            let waited = tokio::time::timeout(LIMIT, store.wait_turn(&entry, |_| ())).await;
            drop((waited, store.still_held(&entry.guard).await?, keeper.state()));
        }
        21 => {
            let mut snapshot = store.snapshot().await?;
            let mut bytes = 0;
            while let Some(chunk) = snapshot.next().await? {
                bytes += chunk.len() as u64;
            }
            assert_eq!(bytes, snapshot.total_bytes());
        }
        22 => {
            let urls = ["http://127.0.0.1:2".to_owned()];
            match operation / OPERATIONS % 4 {
                0 => {
                    store.member_add(&urls, true).await?;
                }
                1 => {
                    store.member_update(0xa1, &urls).await?;
                }
                2 => {
                    store.member_promote(0xa1).await?;
                }
                _ => {
                    store.transfer_leadership(0xa1).await?;
                }
            }
        }
        _ => {
            drop((store.lock_holder(b"/lock", false).await?, store.lock_holder(b"/lock", true).await?));
            let mut reader = store.read(&KeyRange::prefix(b"/lock/"), ReadOptions::default());
            let (mut tree, mut locks) = (LockTree::default(), Vec::new());
            while let Some(page) = reader.next().await? {
                locks.extend(page.into_iter().flat_map(|kv| tree.push(kv)));
            }
            locks.extend(tree.rest());
            for lock in &locks {
                drop(lock.contenders.iter().map(|one| (lock.holds(one), lock.waiting(one))).collect::<Vec<_>>());
            }
            let layout = Layout::new(b"cilium/state/identities/v1").expect("a base");
            drop(kvadm::allocator::scan(store, &layout, |_| ()).await);
        }
    }
    Ok(())
}

/// Reads the range to its end: each key once, in order.
async fn list(store: &Store, range: &KeyRange, options: ReadOptions) -> Result<(), Error> {
    let (limit, mut last, mut count) = (options.limit, None::<KeyValue>, 0_u64);
    let mut reader = store.read(range, options);
    while let Some(page) = reader.next().await? {
        for kv in page {
            assert!(range.contains(&kv.key), "{kv:?} is outside");
            assert!(last.is_none_or(|last| last.key < kv.key), "{kv:?} is out of order");
            (last, count) = (Some(kv), count + 1);
        }
    }
    assert!(limit.is_none_or(|limit| count <= limit), "{count} keys");
    Ok(())
}

/// Follows a watch for a while: events of watched keys, in order.
async fn watch(store: &Store, range: KeyRange) -> Result<(), Error> {
    use kvadm::kvstore::WatchUpdate;
    let mut watcher = store.watch(WatchOptions { ranges: vec![range.clone()], start: 41, known: 40, prev: true });
    let mut last = 41;
    while let Ok(update) = tokio::time::timeout(LIMIT / 5, watcher.next()).await {
        match update? {
            WatchUpdate::Events(events) => {
                for event in events {
                    assert!(range.contains(&event.kv.key) && event.kv.mod_revision >= last, "{event:?} after {last}");
                    last = event.kv.mod_revision;
                }
            }
            WatchUpdate::Compacted(revision) => watcher.move_to(revision.saturating_add(1)),
            _ => {}
        }
    }
    Ok(())
}
