//! How a lease is kept: what kvadm counts its time from, and a key that is written again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kvadm::boottime::BootTime;
use kvadm::kvstore::{KeySelector, LeaseMode, Op, Retry, Txn, Write};

use super::support::answers::valid;
use super::support::library::{OpCounter, store_observed, store_within};
use super::support::{FakeServer, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);
/// The time between the arrival of a request about a lease and its answer.
const HELD_BACK: Duration = Duration::from_millis(300);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Answers requests of this method late. Gives the times at which they arrived.
fn late(method: &'static str) -> (FakeServer, Arc<Mutex<Vec<BootTime>>>) {
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&arrivals);
    let server = FakeServer::start(move |asked| {
        if asked.method == method {
            let arrived = BootTime::now();
            noted.lock().unwrap().push(arrived);
            std::thread::sleep(HELD_BACK);
        }
        valid(asked)
    });
    (server, arrivals)
}

/// Whatever the answer takes, the server has counted the TTL from the arrival of the request at the latest.
#[test]
fn the_time_of_a_granted_lease_counts_from_the_sending() {
    let (server, arrivals) = late("Lease/LeaseGrant");
    runtime().block_on(async {
        let keeper = store_within(&server.endpoint(), b"", SOON).keep(60).await.unwrap();
        let arrived = *arrivals.lock().unwrap().last().unwrap();
        assert!(keeper.state().until <= arrived + keeper.ttl(), "not from the answer");
        assert!(keeper.state().until.remaining() > keeper.ttl() - HELD_BACK - SOON);
    });
}

#[test]
fn the_time_of_a_renewed_lease_counts_from_the_sending() {
    let (server, arrivals) = late("Lease/LeaseKeepAlive");
    runtime().block_on(async {
        let keeper = store_within(&server.endpoint(), b"", SOON).keep(2).await.unwrap();
        let granted = keeper.state().until;
        let mut state = keeper.watch();
        tokio::time::timeout(SOON, state.wait_for(|state| state.until != granted)).await.unwrap().unwrap();
        let until = state.borrow().until;
        let arrived = *arrivals.lock().unwrap().last().unwrap();
        assert!(until <= arrived + keeper.ttl(), "not from the answer");
    });
}

/// A key that is written again has another create revision: taken for the old one, it would count as deleted for ever.
#[test]
fn a_key_that_was_written_again_is_watched_as_the_new_key() {
    let etcd = shared();
    let prefix = unique_prefix();
    let key = format!("{prefix}held");
    runtime().block_on(async {
        let writes = Arc::new(OpCounter::new("put"));
        let observer = Arc::clone(&writes);
        let store = store_observed(&etcd.endpoint(), b"", Duration::from_secs(30), observer);
        let keeper = store.keep(60).await.unwrap();
        let put = Write {
            key: key.clone().into(),
            value: b"v".to_vec(),
            lease: LeaseMode::Attach(keeper.id()),
            ..Write::default()
        };
        let txn = Txn { then: vec![Op::Put(put)], ..Txn::default() };
        let created = store.txn("create", &txn, None, Retry::Never).await.unwrap().revision;
        let (held, _) = store.get(key.as_bytes(), 0, None).await.unwrap();
        let restored = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&restored);
        keeper.restore_key(&store, held.unwrap(), created, move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        for times in 1..=2 {
            let over = KeySelector::Key(key.clone().into());
            let txn = Txn { then: vec![Op::Delete { over, prev: false }], ..Txn::default() };
            store.txn("delete", &txn, None, Retry::Never).await.unwrap();
            tokio::task::block_in_place(|| {
                eventually("the key to be written again", SOON, || restored.load(Ordering::SeqCst) == times);
            });
        }
        // Time for many writes, if the key counted as deleted.
        for _ in 0..50 {
            store.get(key.as_bytes(), 0, None).await.unwrap();
        }
        keeper.stop();
        let writes = writes.count();
        assert!((2..=4).contains(&writes), "{writes} writes for two deletions");
    });
}
