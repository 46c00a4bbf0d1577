//! Requests to a local store: [`Store`] adds the namespace, and ends each read with the command.

use std::sync::Arc;

use tokio::time::Instant;

use crate::kvstore::error::Error;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::kv::txn::{
    Compare, CompareOp, CompareTarget, KeySelector, LockGuard, Op, OpResult, Txn, TxnResult,
};
use crate::kvstore::lease::{Grant, LeaseWithKeys};
use crate::kvstore::local::{LocalAnswer, LocalError, LocalQuery, LocalStore};
use crate::kvstore::store::Store;
use crate::kvstore::types::{KeyValue, LeaseId, Revision};
use crate::transport::Trace;

impl Store {
    /// Whether a file answers the reads.
    pub fn is_local(&self) -> bool {
        self.inner.local.is_some()
    }

    /// Refuses a request that only a cluster can answer.
    ///
    /// # Errors
    /// [`Error::Local`] if a file answers the reads.
    pub(crate) fn refuse_if_local(&self, op: &'static str) -> Result<(), Error> {
        match &self.inner.local {
            Some(local) => Err(Error::Local { store: local.name(), cause: LocalError::NeedsCluster(op) }),
            None => Ok(()),
        }
    }

    /// Reads a range of a local store. The keys of the query and of the answer are without the namespace.
    pub(crate) async fn local_range(&self, op: &'static str, query: LocalQuery) -> Result<LocalAnswer, Error> {
        let range = query.range.within(self.namespace());
        let (key, revision) = (range.start.clone(), query.revision);
        let query = LocalQuery { range, ..query };
        let mut answer = self.ask_local(op, &key, revision, move |local| local.range(&query)).await?;
        for kv in &mut answer.kvs {
            kv.key = self.relative(std::mem::take(&mut kv.key));
        }
        Ok(answer)
    }

    /// The granted TTL of a lease. The remaining TTL, which a file does not tell, is given as the granted one.
    pub(crate) async fn local_lease(&self, id: LeaseId) -> Result<Option<LeaseWithKeys>, Error> {
        let ttl = self.ask_local("lease ttl", &[], 0, move |local| local.lease_ttl(id)).await?;
        Ok(ttl.map(|ttl| LeaseWithKeys { grant: Grant { id, ttl, left: ttl }, keys: Vec::new(), foreign: 0 }))
    }

    /// Runs a transaction that only reads.
    pub(crate) async fn local_txn(
        &self,
        op: &'static str,
        txn: &Txn,
        guard: Option<&LockGuard>,
    ) -> Result<TxnResult, Error> {
        if guard.is_some() {
            self.refuse_if_local("--if-locked")?;
        }
        let keys = txn.then.iter().chain(&txn.otherwise).filter_map(|read| match read {
            Op::Get { over: KeySelector::Key(key), .. } => Some(self.absolute(key)),
            _ => None,
        });
        let keys: Vec<Vec<u8>> = keys.collect();
        let first = self.absolute(txn.first_key());
        self.ask_local(op, &first, 0, move |local| local.prepare(&keys)).await?;
        let mut succeeded = true;
        for compare in &txn.compares {
            succeeded = succeeded && self.local_compare(op, compare).await?;
        }
        let mut results = Vec::new();
        for read in if succeeded { &txn.then } else { &txn.otherwise } {
            let Op::Get { over, revision, keys_only, count_only, limit } = read else {
                self.refuse_if_local(op)?;
                continue;
            };
            let query = LocalQuery {
                range: range_of(over),
                revision: *revision,
                limit: u64::try_from(*limit).unwrap_or(0),
                keys_only: *keys_only,
                count_only: *count_only,
            };
            let LocalAnswer { kvs, count, more, .. } = self.local_range(op, query).await?;
            results.push(OpResult::Get { kvs, count, more });
        }
        let revision = self.revision_at_key(&[]).await?;
        Ok(TxnResult { succeeded, revision, results, maybe_applied: false })
    }

    /// Whether a condition holds for each key that it is about.
    async fn local_compare(&self, op: &'static str, compare: &Compare) -> Result<bool, Error> {
        let found = self.local_range(op, LocalQuery::of(range_of(&compare.over))).await?.kvs;
        if found.is_empty() {
            // etcd compares a missing key as one without revisions, and never by its value.
            let missing = KeyValue::default();
            return Ok(!matches!(compare.target, CompareTarget::Value(_)) && holds(compare, &missing));
        }
        Ok(found.iter().all(|kv| holds(compare, kv)))
    }

    /// Asks the local store on a thread that may block. A signal or the deadline ends the wait at once.
    async fn ask_local<T: Send + 'static>(
        &self,
        op: &'static str,
        key: &[u8],
        revision: Revision,
        ask: impl FnOnce(&dyn LocalStore) -> Result<T, LocalError> + Send + 'static,
    ) -> Result<T, Error> {
        let Some(local) = self.inner.local.clone() else {
            return Err(Error::Internal { op, what: "the store is no file".to_owned() });
        };
        let (sent, name) = (Instant::now(), local.name());
        let asked = Arc::clone(&local);
        let task = tokio::task::spawn_blocking(move || ask(&*asked));
        let result = tokio::select! {
            biased;
            error = self.ended(op) => return Err(error),
            answer = task => match answer {
                Ok(answer) => answer.map_err(|cause| Error::Local { store: name.clone(), cause }),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime is shutting down.
                Err(_) => return Err(Error::Interrupted { op, unknown: false }),
            },
        };
        if self.session.observer.traces() {
            let error = result.as_ref().err().map(ToString::to_string);
            self.session.observer.request(&Trace {
                op,
                key,
                guard: "",
                revision,
                took: sent.elapsed(),
                endpoint: &name,
                error: error.as_deref(),
            });
        }
        result
    }
}

fn range_of(over: &KeySelector) -> KeyRange {
    match over {
        KeySelector::Key(key) => KeyRange::key(key),
        KeySelector::Range(range) => range.clone(),
    }
}

fn holds(compare: &Compare, kv: &KeyValue) -> bool {
    let order = match &compare.target {
        CompareTarget::Value(value) => kv.value.cmp(value),
        CompareTarget::Version(version) => kv.version.cmp(version),
        CompareTarget::Create(revision) => kv.create_revision.cmp(revision),
        CompareTarget::Mod(revision) => kv.mod_revision.cmp(revision),
        CompareTarget::Lease(lease) => kv.lease.map_or(0, |id| id.0).cmp(&lease.map_or(0, |id| id.0)),
    };
    match compare.op {
        CompareOp::Equal => order.is_eq(),
        CompareOp::NotEqual => order.is_ne(),
        CompareOp::Less => order.is_lt(),
        CompareOp::Greater => order.is_gt(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use std::collections::BTreeMap;
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::kvstore::kv::range_reader::ReadOptions;
    use crate::kvstore::kv::txn::{Retry, Write};
    use crate::kvstore::refusal::Refusal;
    use crate::transport::{ConnectOptions, DEFAULT_TXN_OPS, Notice, Observer, Session, TlsFiles};

    struct Silent;

    impl Observer for Silent {
        fn request(&self, _: &Trace<'_>) {}

        fn notice(&self, _: Notice, _: &str) {}

        fn traces(&self) -> bool {
            true
        }
    }

    /// Revision 9, compacted at 5, in pages of two keys at most.
    struct Small(BTreeMap<Vec<u8>, KeyValue>);

    impl LocalStore for Small {
        fn name(&self) -> String {
            "small.db".to_owned()
        }

        fn range(&self, query: &LocalQuery) -> Result<LocalAnswer, LocalError> {
            match query.revision {
                0 | 5..=9 => {}
                revision @ 10.. => return Err(LocalError::FutureRevision { revision, latest: 9 }),
                revision => return Err(LocalError::Compacted { revision, oldest: 5 }),
            }
            let found: Vec<&KeyValue> = self.0.values().filter(|kv| query.range.contains(&kv.key)).collect();
            let most = if query.count_only {
                0
            } else if query.limit == 0 {
                usize::MAX
            } else {
                2
            };
            let kvs: Vec<KeyValue> = found.iter().take(most).map(|kv| (*kv).clone()).collect();
            let more = !query.count_only && kvs.len() < found.len();
            Ok(LocalAnswer { count: found.len() as u64, more, kvs, revision: 9 })
        }

        fn prepare(&self, _: &[Vec<u8>]) -> Result<(), LocalError> {
            Ok(())
        }

        fn lease_ttl(&self, lease: LeaseId) -> Result<Option<i64>, LocalError> {
            if lease.0 == 666 {
                // Longer than any test waits.
                std::thread::sleep(Duration::from_secs(3));
            }
            Ok((lease.0 == 7).then_some(60))
        }
    }

    fn store(namespace: &[u8], deadline: Option<Duration>) -> Store {
        let options = ConnectOptions {
            endpoints: Vec::new(),
            tls: TlsFiles::default(),
            discovery: None,
            credentials: None,
            token: None,
            dial_timeout: Duration::from_secs(1),
            op_timeout: Duration::from_secs(1),
            keepalive_time: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
            connect_wait: None,
            namespace: namespace.to_vec(),
            qps: None,
            max_txn_ops: DEFAULT_TXN_OPS,
        };
        let deadline = deadline.map(|limit| Instant::now() + limit);
        let session = Session { cancel: CancellationToken::new(), deadline, observer: Arc::new(Silent) };
        let kv = |n: i64| KeyValue {
            key: format!("/{n}").into_bytes(),
            value: vec![b'v'; usize::try_from(n).unwrap()],
            create_revision: n,
            mod_revision: n + 1,
            version: 2,
            lease: LeaseId::from_wire(if n == 3 { 7 } else { 0 }),
        };
        let kvs = (1..=5).map(kv).map(|kv| (kv.key.clone(), kv)).collect();
        Store::local(Arc::new(Small(kvs)), options, session)
    }

    #[tokio::test]
    async fn ranges_are_read_to_their_end_in_the_namespace() {
        let store = store(b"/", None);
        let mut reader = store.read(&KeyRange::prefix(b""), ReadOptions { limit: Some(4), ..ReadOptions::default() });
        let mut keys = Vec::new();
        while let Some(page) = reader.next().await.unwrap() {
            keys.extend(page.into_iter().map(|kv| kv.key));
        }
        assert_eq!(keys, [b"1", b"2", b"3", b"4"]);
        assert_eq!((reader.revision(), reader.total()), (9, Some(5)));
        let counted = store.count(&KeyRange::prefix(b""), 7, None).await.unwrap();
        assert_eq!((counted.count, store.revision().await.unwrap()), (5, 9));
        let read = store.get_many(&[b"2".to_vec(), b"none".to_vec()], 0, None).await.unwrap();
        assert_eq!(
            read.kvs.iter().map(|kv| kv.as_ref().map(|kv| kv.mod_revision)).collect::<Vec<_>>(),
            [Some(3), None]
        );
        for (revision, refusal) in [(4, Refusal::Compacted), (10, Refusal::FutureRevision)] {
            let sent = Instant::now();
            let error = store.get(b"1", revision, None).await.unwrap_err();
            assert!(error.is_refusal(refusal) && !error.is_transient(), "{error}");
            let mut reader = store.read(&KeyRange::prefix(b""), ReadOptions { revision, ..ReadOptions::default() });
            assert!(reader.next().await.unwrap_err().is_refusal(refusal));
            assert!(sent.elapsed() < Duration::from_secs(1));
        }
        let ttl = store.time_to_live(LeaseId(7)).await.unwrap().map(|grant| grant.ttl);
        assert_eq!((ttl, store.time_to_live(LeaseId(8)).await.unwrap()), (Some(60), None));
    }

    #[tokio::test]
    async fn conditions_are_compared_as_etcd_compares_them() {
        let store = store(b"", None);
        let key = |key: &[u8], op, target| Compare::key(key, op, target);
        use CompareOp::{Equal, Greater, Less, NotEqual};
        for (compare, holds) in [
            (key(b"/2", Equal, CompareTarget::Value(b"vv".to_vec())), true),
            (key(b"/2", NotEqual, CompareTarget::Value(b"vv".to_vec())), false),
            (key(b"/none", NotEqual, CompareTarget::Value(b"vv".to_vec())), false),
            (key(b"/2", Greater, CompareTarget::Create(1)), true),
            (key(b"/2", Less, CompareTarget::Mod(3)), false),
            (key(b"/3", Equal, CompareTarget::Lease(Some(LeaseId(7)))), true),
            (key(b"/2", Equal, CompareTarget::Lease(None)), true),
            (Compare::missing(b"/none"), true),
            (Compare::exists(b"/none"), false),
            (Compare::none_newer(&KeyRange::prefix(b"/"), 6), true),
            (Compare::none_newer(&KeyRange::prefix(b"/"), 5), false),
        ] {
            let read = |key: &[u8]| vec![Op::get_at(KeySelector::Key(key.to_vec()), 0)];
            let txn = Txn { compares: vec![compare.clone()], then: read(b"/1"), otherwise: read(b"/none") };
            let done = store.read_txn("get", txn, None, crate::kvstore::timeout::Timeout::Operation).await.unwrap();
            assert_eq!(done.succeeded, holds, "{compare:?}");
            assert!(matches!(&done.results[..], [OpResult::Get { count, .. }] if *count == u64::from(holds)));
        }
    }

    #[tokio::test]
    async fn everything_else_is_refused_at_once() {
        let store = store(b"", None);
        let needs = |error: Error| matches!(error, Error::Local { cause: LocalError::NeedsCluster(_), .. });
        let write = Txn { then: vec![Op::Put(Write { key: b"/1".to_vec(), ..Write::default() })], ..Txn::default() };
        assert!(needs(store.txn("put", &write, None, Retry::Never).await.unwrap_err()));
        let guard = LockGuard { key: b"/l".to_vec(), revision: 1 };
        assert!(needs(store.get(b"/1", 0, Some(&guard)).await.unwrap_err()));
        assert!(needs(store.leases().await.unwrap_err()));
        assert!(needs(store.grant(5).await.unwrap_err()));
        assert!(needs(store.member_status().await.unwrap_err()));
        assert!(needs(store.members().await.unwrap_err()));
        let options = crate::kvstore::watch::WatchOptions {
            ranges: vec![KeyRange::prefix(b"")],
            start: 1,
            known: 1,
            prev: false,
        };
        assert!(needs(store.watch(options).next().await.unwrap_err()));
    }

    #[tokio::test]
    async fn the_deadline_ends_a_read_that_blocks() {
        let store = store(b"", Some(Duration::from_millis(50)));
        let sent = Instant::now();
        let error = store.time_to_live(LeaseId(666)).await.unwrap_err();
        assert!(matches!(error, Error::Deadline { .. }), "{error}");
        assert!(sent.elapsed() < Duration::from_secs(2));
    }
}
