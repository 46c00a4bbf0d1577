//! `put --from`: loads records in bulk.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bulk::{BATCH_BYTES, LeaseTarget, LoadItem, LoadMode, LoadTally, batch_records, send};
use super::missing_keys::MissingKeys;
use crate::commands::input::{InputSource, bad_records};
use crate::commands::proto::warn_of_bypass;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::escaped::escape;
use crate::kvstore::{Error, KeyRange, LeaseId, LeaseKeeper, LockGuard, Store};
use crate::output::{FailedCondition, InputRecord, LoadAnswer, Progress};
use crate::plural::{counted, grouped};
use crate::proto::Codec;
use crate::signal::after_cancel;
use crate::sync::{InputLine, RecordLines};

/// Concurrent batches: enough to keep one server busy.
const MAX_IN_FLIGHT: usize = 8;
/// Batches that are read ahead of the writes.
const READ_AHEAD_BATCHES: usize = 4;
/// How long in-flight batches may take after a signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Loads all records of the source.
///
/// # Errors
/// An invalid line, or a refusal of etcd; the message says how many records were loaded.
pub async fn run(
    ctx: &Context,
    source: InputSource<'_>,
    create: bool,
    guard: Option<LockGuard>,
    codec: Arc<Codec>,
) -> Result<Exit, Failure> {
    let in_namespace = !ctx.store().namespace().is_empty();
    let total = validate(source, &codec, in_namespace)?;
    ctx.signals.hold();
    let mut load = Load {
        ctx,
        store: ctx.store().with_cancel(CancellationToken::new()),
        create,
        guard: guard.map(Arc::new),
        missing_keys: Arc::default(),
        tally: LoadTally::default(),
        leases: HashMap::new(),
        without_ttl: 0,
        in_flight: JoinSet::new(),
        keys: HashSet::new(),
        progress: ctx.out.progress("loading", total),
        bypass_warned: false,
    };
    let lines = LoadRecords::of(source, codec, in_namespace)?;
    let reader = spawn_reader(lines, batch_records(ctx.store().max_txn_ops()))?;
    let result = load.write_all(reader).await;
    load.progress.finish();
    load.revoke_unused_leases().await;
    load.summary(result)
}

/// Validates a file before anything is written, so that an invalid line has no effect. Counts the records.
fn validate(source: InputSource<'_>, codec: &Arc<Codec>, in_namespace: bool) -> Result<Option<u64>, Failure> {
    match source {
        InputSource::File(path) if path.is_file() => {}
        _ => return Ok(None),
    }
    let mut count = 0;
    for record in LoadRecords::of(source, Arc::clone(codec), in_namespace)? {
        record?;
        count += 1;
    }
    Ok(Some(count))
}

/// The records of a source, up to the first failure. A trailer is checked and omitted.
struct LoadRecords {
    lines: RecordLines,
    codec: Arc<Codec>,
}

impl LoadRecords {
    fn of(source: InputSource<'_>, codec: Arc<Codec>, in_namespace: bool) -> Result<Self, Failure> {
        Ok(Self { lines: RecordLines::new(source.open()?, source.name(), in_namespace), codec })
    }
}

impl Iterator for LoadRecords {
    type Item = Result<InputRecord, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.lines.next(&self.codec) {
                Ok(Some(InputLine::Record(record))) => return Some(Ok(record)),
                Ok(Some(InputLine::Trailer(_))) => {}
                Ok(None) => return None,
                Err(error) => return Some(Err(bad_records(error))),
            }
        }
    }
}

/// Reads and parses on a separate thread, a few batches ahead.
fn spawn_reader(
    mut lines: LoadRecords,
    max_records: usize,
) -> Result<mpsc::Receiver<Result<Vec<InputRecord>, Failure>>, Failure> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD_BATCHES);
    let work = move || {
        let mut batch = RecordBatch::new(max_records);
        for record in &mut lines {
            let sent = match record {
                Ok(record) => match batch.push(record) {
                    Some(full) => sender.blocking_send(Ok(full)),
                    None => Ok(()),
                },
                Err(failure) => {
                    let rest = batch.take();
                    let _ = sender.blocking_send(Ok(rest));
                    let _ = sender.blocking_send(Err(failure));
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
        let _ = sender.blocking_send(Ok(batch.take()));
    };
    thread::Builder::new()
        .name("reader".to_owned())
        .spawn(work)
        .map_err(|error| Failure::new(Exit::Bug, format!("cannot start a thread: {error}")))?;
    Ok(receiver)
}

/// Records that fit into one transaction: limited in number and bytes, with distinct keys.
struct RecordBatch {
    max_records: usize,
    records: Vec<InputRecord>,
    keys: HashSet<Vec<u8>>,
    bytes: usize,
}

impl RecordBatch {
    fn new(max_records: usize) -> Self {
        Self { max_records, records: Vec::new(), keys: HashSet::new(), bytes: 0 }
    }

    /// Adds a record; returns the previous batch if the record does not fit into it.
    fn push(&mut self, record: InputRecord) -> Option<Vec<InputRecord>> {
        // Key and value are sent twice, in the compare and in the write; 256 bytes cover the protocol's overhead.
        let bytes = 2 * (record.key.len() + record.value.len()) + 256;
        let full = self.records.len() >= self.max_records
            || self.bytes + bytes > BATCH_BYTES
            || self.keys.contains(record.key.as_slice());
        let before = if full && !self.records.is_empty() { Some(self.take()) } else { None };
        self.bytes += bytes;
        self.keys.insert(record.key.clone());
        self.records.push(record);
        before
    }

    fn take(&mut self) -> Vec<InputRecord> {
        self.keys.clear();
        self.bytes = 0;
        std::mem::take(&mut self.records)
    }
}

type BatchResult = (Vec<Vec<u8>>, LoadTally, Result<(), Error>);

struct Load<'a> {
    ctx: &'a Context,
    /// The store without the command's cancellation: a signal does not cancel in-flight batches.
    store: Store,
    create: bool,
    guard: Option<Arc<LockGuard>>,
    missing_keys: Arc<MissingKeys>,
    tally: LoadTally,
    /// The granted lease for each lease of the records, kept alive to the end of the load: what was loaded first must not
    /// expire before the rest is stored.
    leases: HashMap<LeaseId, LeaseKeeper>,
    /// Records that name a lease without its TTL.
    without_ttl: u64,
    in_flight: JoinSet<BatchResult>,
    /// The keys in flight: several records of one key are written one after the other.
    keys: HashSet<Vec<u8>>,
    progress: Progress,
    /// Whether the warning of [`warn_of_bypass`] was printed.
    bypass_warned: bool,
}

impl Load<'_> {
    async fn write_all(
        &mut self,
        mut batches: mpsc::Receiver<Result<Vec<InputRecord>, Failure>>,
    ) -> Result<(), Failure> {
        let cancel = self.ctx.signals.cancel().clone();
        let result = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break Err(Failure::new(Exit::Interrupted, "interrupted")),
                Some(finished) = self.in_flight.join_next() => {
                    if let Err(failure) = self.finish_batch(finished) { break Err(failure); }
                }
                chunk = batches.recv(), if self.in_flight.len() < MAX_IN_FLIGHT => match chunk {
                    Some(Ok(records)) => {
                        if let Err(failure) = self.start_batch(records).await { break Err(failure); }
                    }
                    Some(Err(failure)) => break Err(failure),
                    None => break Ok(()),
                },
            }
        };
        self.drain(result).await
    }

    /// Waits for the in-flight batches, after a signal for at most [`DRAIN_TIMEOUT`].
    async fn drain(&mut self, mut result: Result<(), Failure>) -> Result<(), Failure> {
        let drain_timeout = after_cancel(self.ctx.signals.cancel(), DRAIN_TIMEOUT);
        tokio::pin!(drain_timeout);
        loop {
            tokio::select! {
                biased;
                () = &mut drain_timeout => {
                    self.tally.unknown += self.keys.len() as u64;
                    self.in_flight.abort_all();
                    return result.and(Err(Failure::new(Exit::Interrupted, "interrupted")));
                }
                finished = self.in_flight.join_next() => match finished {
                    None => return result,
                    Some(finished) => {
                        if let Err(failure) = self.finish_batch(finished) { result = result.and(Err(failure)); }
                    }
                },
            }
        }
    }

    async fn start_batch(&mut self, records: Vec<InputRecord>) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        self.bypass_warned =
            self.bypass_warned || warn_of_bypass(self.ctx, records.iter().map(|record| KeyRange::key(&record.key)));
        let cancel = self.ctx.signals.cancel().clone();
        while records.iter().any(|record| self.keys.contains(record.key.as_slice())) {
            let finished = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(Failure::new(Exit::Interrupted, "interrupted")),
                finished = self.in_flight.join_next() => finished,
            };
            match finished {
                Some(finished) => self.finish_batch(finished)?,
                None => break,
            }
        }
        let mut items = Vec::with_capacity(records.len());
        for record in records {
            let lease = self.lease(&record).await?;
            items.push(LoadItem { key: record.key, value: record.value, lease });
        }
        let keys: Vec<_> = items.iter().map(|item| item.key.clone()).collect();
        self.keys.extend(keys.iter().cloned());
        let (store, guard, create, dry_run) =
            (self.store.clone(), self.guard.clone(), self.create, self.ctx.safety.dry_run);
        let missing_keys = Arc::clone(&self.missing_keys);
        self.in_flight.spawn(async move {
            let mode = LoadMode { create, dry_run, guard: guard.as_deref(), missing_keys: &missing_keys };
            let (tally, result) = send(&store, items, mode).await;
            (keys, tally, result)
        });
        Ok(())
    }

    async fn lease(&mut self, record: &InputRecord) -> Result<LeaseTarget, Failure> {
        let Some(old) = record.lease else { return Ok(LeaseTarget::None) };
        let Some(ttl) = record.ttl.filter(|ttl| *ttl > 0) else {
            self.without_ttl += 1;
            return Ok(LeaseTarget::Unspecified);
        };
        if self.ctx.safety.dry_run {
            return Ok(LeaseTarget::Fresh(old));
        }
        if let Some(fresh) = self.leases.get(&old) {
            return Ok(LeaseTarget::Fresh(fresh.id()));
        }
        // A grant can be abandoned without loss, so a signal cancels it.
        let kept = self.ctx.store().keep(ttl).await?;
        let id = kept.id();
        self.leases.insert(old, kept);
        Ok(LeaseTarget::Fresh(id))
    }

    fn finish_batch(&mut self, finished: Result<BatchResult, tokio::task::JoinError>) -> Result<(), Failure> {
        let (keys, tally, result) =
            finished.map_err(|error| Failure::new(Exit::Bug, format!("a batch task failed: {error}")))?;
        for key in &keys {
            self.keys.remove(key);
        }
        self.progress.inc(tally.applied() + tally.exists + tally.unknown);
        self.tally.add(tally);
        result.map_err(|error| {
            let refused = matches!(error, Error::Refused { .. });
            let failure = Failure::from(error);
            match keys.as_slice() {
                // A record that is too large for etcd is written alone.
                [key] if refused => failure.context(format!("cannot load the record of key '{}'", escape(key))),
                _ => failure,
            }
        })
    }

    async fn revoke_unused_leases(&self) {
        if self.tally.unknown > 0 {
            return;
        }
        let store = self.store.for_cleanup(DRAIN_TIMEOUT);
        for fresh in self.leases.values().filter(|lease| !self.tally.leases.contains(&lease.id())) {
            fresh.stop();
            let _ = store.revoke_own(fresh.id()).await;
        }
    }

    fn summary(&self, result: Result<(), Failure>) -> Result<Exit, Failure> {
        let LoadTally { written, unchanged, exists, unknown, .. } = self.tally;
        if self.without_ttl > 0 {
            self.ctx.out.note(&format!(
                "loaded without a lease: {}, because the TTL is missing ('kvadm list --with-leases' exports it)",
                counted(self.without_ttl, "record")
            ));
        }
        if let Err(failure) = result {
            let loaded = format!(
                "{} loaded ({} written, {} unchanged)",
                counted(self.tally.applied(), "record"),
                grouped(written),
                grouped(unchanged)
            );
            let other_store = failure.is_other_store();
            let partly = written > 0 && !other_store && !matches!(failure.exit, Exit::Interrupted | Exit::Unknown);
            let mut failure = failure.context(loaded);
            if !other_store {
                // Otherwise, the same command might begin with the other store.
                failure = failure.hint("run the same command again to resume; loaded records are skipped");
            }
            if unknown > 0 {
                failure =
                    failure.hint(format!("{} in flight may or may not have been written", counted(unknown, "record")));
            }
            if partly {
                failure.exit = Exit::Partial;
            }
            if unknown > 0 && failure.exit != Exit::Interrupted {
                failure.exit = Exit::Unknown;
            }
            return Err(failure);
        }
        let leases = self.tally.leases.len() as u64;
        self.ctx.out.report(&LoadAnswer {
            written,
            unchanged,
            exists,
            unknown,
            leases,
            dry_run: self.ctx.safety.dry_run,
        })?;
        if unknown > 0 {
            return Err(Failure::new(
                Exit::Unknown,
                format!("{} may or may not have been written", counted(unknown, "record")),
            )
            .hint("run the same command again to resume; loaded records are skipped"));
        }
        if exists > 0 {
            // With several keys, the error does not say which, so the condition names none.
            let only = self.tally.existing_key.clone().filter(|_| exists == 1);
            let failed = only.map(|key| FailedCondition { kind: "exists", key, mod_revision: None, value: None });
            let why = format!("already present with another value: {}", counted(exists, "key"));
            return Err(Failure::conflict(why).condition(failed));
        }
        Ok(Exit::Done)
    }
}
