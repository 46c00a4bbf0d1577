//! Metadata trees as a kind of garbage.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::time::Duration;

use tokio::time::Instant;

use super::super::kind::{GarbageKind, SweepContext as Round};
use super::job::MetadataJob;
use super::sweeping::SweepInProgress;
use super::tree::{MarkedTree, SweepRefusal, read_and_mark};
use crate::commands::lease_scope::{LeaseScope, seconds};
use crate::commands::lock::acquire::{LockRequest, acquire};
use crate::commands::lock::owner::this_process;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::metadata::collect::TreeCollector;
use crate::gc::metadata::mark::ObjectVerdict;
use crate::gc::metadata::model::{ObjectId, TreeProblem};
use crate::gc::metadata::sweep::{Sweep, SweepGuard, SweepOptions};
use crate::gc::{Candidate, CandidateOutcome, Facts, Plan, ScanResult, Scope, Skipped, Timestamp};
use crate::kvstore::{LockMode, Store};
use crate::output::{GcPart, GcPhase, MetadataRow, PartCounts, Progress, Record, bytes};
use crate::plural::counted;

/// Collects garbage from one tree.
pub struct MetadataGarbage {
    job: MetadataJob,
    /// Whether the sweep removes anything (--apply without --dry-run).
    applies: bool,
    /// The tree of the last scan.
    tree: Option<MarkedTree>,
    held: Option<LeaseScope>,
    sweep: Option<SweepInProgress>,
    /// Warnings already printed.
    warned: Vec<String>,
    /// Objects of this sweep that one transaction cannot remove.
    entangled: u64,
}

/// Objects that one transaction cannot remove, and that are reported individually.
const MAX_ENTANGLED_WARNINGS: u64 = 20;

impl MetadataGarbage {
    /// A collector that has read nothing yet.
    pub fn new(job: MetadataJob, applies: bool) -> Self {
        Self { job, applies, tree: None, held: None, sweep: None, warned: Vec::new(), entangled: 0 }
    }

    /// Reads the tree. A tree that must not be swept is an error with --apply, else a warning.
    async fn scan_tree(&mut self, ctx: &Context, store: &Store, progress: &Progress) -> Result<&MarkedTree, Failure> {
        // Frees the memory of the previous tree before the next one is read.
        self.tree = None;
        let tree = read_and_mark(ctx, store, &self.job, progress).await?;
        for SweepRefusal { why, hint } in tree.refusals(&self.job) {
            if self.applies {
                return Err(Failure::conflict(format!("{why}; nothing was removed")).hint(hint));
            }
            self.warn(ctx, format!("--apply would refuse: {why}"));
        }
        if let Some(unresolved) = tree.unresolved().filter(|_| self.job.ignore_unresolved) {
            self.warn(ctx, format!("{unresolved} and are ignored"));
        }
        if tree.model.totals().keys == 0 {
            self.warn(ctx, "no key below the prefix".to_owned());
        }
        Ok(self.tree.insert(tree))
    }

    fn warn(&mut self, ctx: &Context, text: String) {
        if !self.warned.contains(&text) {
            ctx.out.warn(&text);
            self.warned.push(text);
        }
    }

    /// A message if the removal of these objects would empty a kind that must not become empty.
    fn emptied_kind(&self, tree: &MarkedTree, ids: &[ObjectId]) -> Option<String> {
        let mut going = vec![0_u64; tree.model.schema().kinds.len()];
        ids.iter().for_each(|id| going[usize::from(tree.model.kind_id(*id))] += 1);
        let all = tree.marking.summary(&tree.model);
        let kinds = tree.model.schema().kinds.iter().zip(all.iter().zip(going));
        let mut emptied_kind = kinds.filter(|(kind, (sum, going))| {
            *going > 0 && *going == sum.objects && !kind.may_empty && !self.job.allow_empty.contains(&kind.name)
        });
        let (kind, (sum, _)) = emptied_kind.next()?;
        Some(format!("every object of kind {} would be removed ({} in total)", kind.name, sum.objects))
    }
}

/// Makes a candidate: `facts` must agree between scans, the rest is information.
fn candidate(tree: &MarkedTree, store: &Store, id: ObjectId, seen: Timestamp) -> Option<Candidate> {
    let model = &tree.model;
    let (_, why) = tree.verdict(id);
    let expired = match tree.marking.verdict(model, id) {
        ObjectVerdict::Expired(time) => Some(time.to_string()),
        _ => None,
    };
    let facts = Facts::default()
        .with("kind", model.kind(id).name.as_str())
        .with("mod_revision", model.newest(id))
        .with("keys", model.keys(id))
        .with("reason", if expired.is_some() { "expired" } else { "unreachable" });
    let facts = match expired {
        Some(time) => facts.with("expired", time),
        None => facts,
    };
    let more = Facts::default()
        .with("bytes", model.bytes(id))
        .with_bytes("scope", model.scope(id))
        .with_bytes("identity", model.identity(id));
    Some(Candidate { key: store.absolute(&model.key(id)?), why, first_seen: seen, facts, more })
}

/// Whether the tree has an object with this absolute key.
fn is_there(tree: &MarkedTree, store: &Store, key: &[u8]) -> bool {
    let relative = key.strip_prefix(store.namespace()).unwrap_or(key);
    let (ids, _) = tree.model.find_all(relative);
    ids.iter().any(|id| tree.model.key(*id).as_deref() == Some(relative))
}

/// Keys that look wrong and are kept.
fn skipped(tree: &MarkedTree, store: &Store) -> Vec<Skipped> {
    let model = &tree.model;
    let odd = model.problems().iter().filter_map(|problem| {
        let (key, why) = match problem {
            TreeProblem::Unparsed(key) => (key.clone(), "the key does not match the schema".to_owned()),
            TreeProblem::Ambiguous(key) => (key.clone(), "the key could belong to several objects".to_owned()),
            TreeProblem::Unanchored(id) => {
                let anchor = model.kind(*id).anchor.as_deref().map(bytes::escape).unwrap_or_default();
                (model.key(*id)?, format!("{} object without its anchor {anchor}", model.kind(*id).name))
            }
            TreeProblem::BadReference(..) | TreeProblem::Unread(..) => return None,
        };
        Some(Skipped { key: store.absolute(&key), why })
    });
    odd.collect()
}

impl GarbageKind for MetadataGarbage {
    const NAME: &'static str = "metadata";
    const OBJECT: &'static str = "object";

    fn batch(&self, store: &Store) -> usize {
        // The lock takes one compare of each transaction.
        store.max_txn_ops().saturating_sub(1)
    }

    fn scope(&self, store: &Store) -> Scope {
        Scope { prefix: store.absolute(&self.job.prefix), bounds: Facts::default() }
    }

    fn schema(&self) -> Option<String> {
        Some(self.job.schema.hash.clone())
    }

    async fn scan(&mut self, ctx: &Context, progress: &Progress) -> Result<ScanResult, Failure> {
        self.sweep = None;
        let seen = Timestamp::now();
        self.scan_tree(ctx, ctx.store(), progress).await?;
        let Some(tree) = &self.tree else { return Ok(ScanResult::default()) };
        let garbage = tree.marking.garbage(&tree.model);
        let empties = self.emptied_kind(tree, &garbage);
        let candidates = garbage.iter().filter_map(|id| candidate(tree, ctx.store(), *id, seen)).collect();
        let collected = tree.model.objects().filter(|id| tree.model.kind(*id).collect).count();
        let found = ScanResult {
            revision: tree.model.revision(),
            scanned: collected as u64,
            candidates,
            skipped: skipped(tree, ctx.store()),
            leased: 0,
        };
        if let Some(why) = empties.filter(|_| !self.applies) {
            self.warn(ctx, format!("--apply would refuse: {why}"));
        }
        Ok(found)
    }

    /// With --guard scope, etcd reads the whole scope for each transaction: full batches keep these few.
    fn pace_period(&self) -> Duration {
        match self.job.guard {
            SweepGuard::Object => Duration::from_millis(250),
            SweepGuard::Scope => Duration::MAX,
        }
    }

    async fn begin(&mut self, round: &Round<'_>) -> Result<(), Failure> {
        let Some(name) = self.job.lock.clone() else { return Ok(()) };
        let ttl = seconds(round.ctx.config.lock_ttl);
        let owner = Some(this_process(OsStr::new("gc")));
        let (mode, wait) = (LockMode::default(), self.job.wait);
        let request = LockRequest { name, mode, wait, ttl_seconds: ttl, owner, proposal: None };
        let held = acquire(round.ctx, &request).await?;
        self.held =
            Some(LeaseScope { what: format!("the lock {}", held.name), kept: held.kept, guard: Some(held.guard) });
        Ok(())
    }

    async fn prepare(&mut self, round: &Round<'_>, chosen: &mut Vec<&Candidate>) -> Result<(), Failure> {
        let begun = Instant::now();
        let store = round.ctx.store();
        if self.held.is_some() {
            // Other clients may have written between the scan and the lock.
            let progress = round.ctx.out.progress("scanning under the lock", None);
            let looked = self.scan_tree(round.ctx, store, &progress).await.map(|_| ());
            progress.finish();
            looked?;
        }
        let Some(tree) = &self.tree else { return Err(Failure::new(Exit::Bug, "sweep without a scan")) };
        let locked = self.held.is_some();
        let mut objects: HashMap<Vec<u8>, ObjectId> = HashMap::with_capacity(chosen.len());
        let mut known: HashMap<Vec<u8>, ObjectId> = HashMap::new();
        for id in tree.marking.garbage(&tree.model) {
            known.extend(tree.model.key(id).map(|key| (store.absolute(&key), id)));
        }
        let mut gone = HashSet::new();
        for one in chosen.iter() {
            let Some(id) = known.remove(&one.key) else {
                if !is_there(tree, store, &one.key) {
                    gone.insert(one.key.clone());
                }
                continue;
            };
            let same = || candidate(tree, store, id, Timestamp::default()).is_some_and(|now| now.facts == one.facts);
            if !locked || same() {
                objects.insert(one.key.clone(), id);
            }
        }
        drop(known);
        let ids: Vec<ObjectId> = objects.values().copied().collect();
        if let Some(why) = self.emptied_kind(tree, &ids) {
            return Err(Failure::conflict(format!("{why}; nothing was removed"))
                .hint("check the schema and the prefix; to empty a kind, pass --allow-empty KIND"));
        }
        let options = SweepOptions {
            guard: self.job.guard,
            max_ops: round.ctx.store().max_txn_ops(),
            locked: self.held.is_some(),
            ..SweepOptions::default()
        };
        if options.guard == SweepGuard::Scope {
            let totals = tree.model.totals();
            round.ctx.out.detail(&format!(
                "each transaction makes etcd read its whole scope, of {} in total",
                counted(totals.keys, "key")
            ));
        }
        let sweep = Sweep::new(&tree.model, &tree.marking, &ids, options);
        let place: HashMap<ObjectId, usize> = sweep.verdicts().map(|(id, _)| id).zip(1..).collect();
        chosen.sort_by_key(|candidate| objects.get(&candidate.key).and_then(|id| place.get(id)).copied());
        let lock = self.held.as_ref().and_then(|held| held.guard.clone());
        let collector = TreeCollector::new(round.store.clone(), sweep, lock);
        self.sweep = Some(SweepInProgress { collector, objects, gone, begun, took_ms: 0 });
        Ok(())
    }

    async fn remove(&mut self, round: &Round<'_>, batch: &[&Candidate]) -> Result<Vec<CandidateOutcome>, Failure> {
        let Some(sweep) = &mut self.sweep else {
            return Err(Failure::new(Exit::Bug, "removal without a sweep"));
        };
        let mut ended = false;
        loop {
            let settled: Vec<CandidateOutcome> = batch.iter().map_while(|candidate| sweep.outcome(candidate)).collect();
            if !settled.is_empty() {
                for (candidate, _) in batch.iter().zip(&settled) {
                    let Some(why) = sweep.entangled(candidate) else { continue };
                    self.entangled += 1;
                    let text = format!("{}: {why}; held back", bytes::escape(&candidate.key));
                    // A service says it once, not in every round.
                    if self.entangled <= MAX_ENTANGLED_WARNINGS && !self.warned.contains(&text) {
                        round.ctx.out.warn(&text);
                        self.warned.push(text);
                    }
                }
                return Ok(settled);
            }
            if ended {
                return Err(Failure::new(Exit::Bug, "the sweep ended before all candidates were processed"));
            }
            let step = sweep.collector.step(round.consent, batch.len()).await;
            sweep.took_ms = u64::try_from(sweep.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            // The last objects may have been settled without a transaction.
            ended = step.map_err(|error| self.job.too_slow(error))?.is_none();
        }
    }

    async fn end(&mut self, round: &Round<'_>) {
        let more = std::mem::take(&mut self.entangled).saturating_sub(MAX_ENTANGLED_WARNINGS);
        if more > 0 {
            let objects = counted(more, "more object");
            self.warn(round.ctx, format!("{objects} held back because one transaction cannot compare enough"));
        }
        if let Some(held) = self.held.take()
            && !held.release(round.ctx).await
        {
            // Every transaction compared the lock: all removals were done under it.
            round.ctx.out.detail(&format!("{} was lost before the end", held.what));
        }
    }

    fn parts(&self) -> Vec<GcPart> {
        let Some(tree) = &self.tree else { return Vec::new() };
        let tallies = self.sweep.as_ref().map(|sweep| sweep.collector.sweep().tallies());
        let kinds = tree.model.schema().kinds.iter().zip(tree.marking.summary(&tree.model)).enumerate();
        let part = |(at, (kind, sum)): (usize, (&crate::gc::metadata::schema::Kind, _))| {
            let sum: crate::gc::metadata::mark::KindSummary = sum;
            let swept = tallies.and_then(|tallies| tallies.get(at)).filter(|_| kind.collect).map(|tally| PartCounts {
                removed: tally.removed,
                keys: tally.keys,
                bytes: tally.bytes,
                skipped: tally.skipped(),
                gone: tally.gone,
                failed: tally.failed,
            });
            GcPart {
                name: kind.name.clone(),
                objects: sum.objects,
                keys: sum.keys,
                bytes: sum.bytes,
                roots: sum.roots,
                edges: sum.edges,
                reachable: sum.reachable,
                garbage: sum.garbage,
                garbage_bytes: sum.garbage_bytes,
                unresolved: tree.model.unresolved().get(at).copied().unwrap_or_default(),
                swept,
            }
        };
        kinds.map(part).filter(|part| part.objects > 0).collect()
    }

    fn phases(&self) -> Vec<GcPhase> {
        let mut phases = self.tree.as_ref().map_or_else(Vec::new, |tree| tree.phases.clone());
        if let Some(sweep) = &self.sweep {
            let (transactions, refused) = sweep.collector.batches();
            phases.push(GcPhase {
                name: "sweep",
                took_ms: sweep.took_ms,
                transactions: Some(transactions),
                refused: Some(refused),
                memory: None,
            });
        }
        phases
    }

    fn write_row(
        &self,
        _plan: &Plan,
        candidate: &Candidate,
        state: &str,
        error: Option<&str>,
        to: &mut dyn FnMut(&dyn Record),
    ) {
        let entangled = self.sweep.as_ref().and_then(|sweep| sweep.entangled(candidate));
        to(&MetadataRow {
            state,
            kind: candidate.facts.text("kind").unwrap_or_default(),
            key: &candidate.key,
            scope: &candidate.more.bytes("scope").unwrap_or_default(),
            identity: &candidate.more.bytes("identity").unwrap_or_default(),
            why: &candidate.why,
            keys: candidate.facts.int("keys"),
            bytes: candidate.more.int("bytes").and_then(|bytes| u64::try_from(bytes).ok()),
            newest: candidate.facts.int("mod_revision"),
            expired: candidate.facts.text("expired"),
            error: error.or(entangled.as_deref()),
        });
    }
}
