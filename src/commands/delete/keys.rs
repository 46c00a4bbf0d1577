//! Deletes named keys.

use std::path::Path;

use super::save::SaveFile;
use super::shown::{print_answer, show_would_delete};
use crate::commands::conditions::Conditions;
use crate::commands::near_miss::hint_for_deletion;
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Compare, KeySelector, KeyValue, LockGuard, Op, OpResult, Retry, Txn, TxnResult};
use crate::output::{DeleteAnswer, bytes};
use crate::plural::counted;

pub struct KeyDeletion<'a> {
    pub ctx: &'a Context,
    /// The keys; conditions apply only to a single key.
    pub keys: Vec<Vec<u8>>,
    pub conditions: Conditions,
    pub guard: Option<LockGuard>,
    pub prev: bool,
}

impl KeyDeletion<'_> {
    pub async fn run(mut self, save: Option<&Path>) -> Result<Exit, Failure> {
        self.keys.sort();
        self.keys.dedup();
        let several = self.keys.len() > 1;
        if several || self.ctx.safety.dry_run || save.is_some() {
            return self.read_then_delete(several, save).await;
        }
        let txn = Txn {
            compares: self.conditions.compares(&self.keys[0]),
            then: vec![delete(&self.keys[0], self.prev)],
            otherwise: self.conditions.reads(&self.keys[0]),
        };
        let retry = if self.conditions.never_hold_again() { Retry::Idempotent } else { Retry::Never };
        let result = self.ctx.store().txn("delete", &txn, self.guard.as_ref(), retry).await?;
        let exit = self.report_single(result)?;
        if exit == Exit::No {
            hint_for_deletion(self.ctx, self.ctx.store(), &self.keys[0]).await;
        }
        Ok(exit)
    }

    fn report_single(&self, result: TxnResult) -> Result<Exit, Failure> {
        let key = bytes::name(&self.keys[0]);
        if !result.succeeded {
            let why = self.conditions.explain(&self.keys[0], &result.results);
            if result.maybe_applied {
                return Err(Failure::new(
                    Exit::Unknown,
                    "the delete was sent twice, and it is unknown whether the first was applied",
                )
                .context(format!("the first reply was lost, and now {why}")));
            }
            // A missing key is reported as such, not as a failed condition, unless --if-exists may have failed too.
            let missing = matches!(result.results.first(), Some(OpResult::Get { kvs, .. }) if kvs.is_empty());
            if missing && self.conditions.other.is_none() {
                self.ctx.out.note(&format!("key not found: {key}"));
                return self.report(0, 0, result.revision, 1);
            }
            let failed = self.conditions.failed(&self.keys[0], &result.results);
            return Err(Failure::conflict(why)
                .condition(failed)
                .context(format!("condition failed; {key} was not deleted")));
        }
        match result.results.into_iter().next() {
            Some(OpResult::Delete { deleted, prev }) => {
                if self.prev {
                    self.print(&prev)?;
                }
                if deleted == 0 {
                    self.ctx.out.note(&format!("key not found: {key}"));
                }
                self.report(deleted, 0, result.revision, u64::from(deleted == 0))
            }
            _ => Err(Failure::new(Exit::Bug, "etcd's reply has no result for the delete")),
        }
    }

    /// Reads the keys, to count, save or print them, then deletes those that have not changed since.
    async fn read_then_delete(&self, several: bool, save: Option<&Path>) -> Result<Exit, Failure> {
        let store = self.ctx.store();
        let read = store.get_many(&self.keys, 0, self.guard.as_ref()).await?;
        let found: Vec<KeyValue> = read.kvs.into_iter().flatten().collect();
        let missing = (self.keys.len() - found.len()) as u64;
        for key in self.keys.iter().filter(|key| !found.iter().any(|kv| kv.key == **key)) {
            self.ctx.out.note(&format!("key not found: {}", bytes::name(key)));
        }
        if let ([key], true) = (self.keys.as_slice(), found.is_empty()) {
            hint_for_deletion(self.ctx, store, key).await;
        }
        if self.ctx.safety.dry_run {
            self.dry_run(&found).await?;
            if !self.prev {
                show_would_delete(self.ctx, found.iter().map(|kv| kv.key.as_slice()), found.len() as u64);
            }
            if self.prev {
                self.print(&found)?;
            }
            return self.report(0, found.len() as u64, read.revision, missing);
        }
        if found.is_empty() {
            return self.report(0, 0, read.revision, missing);
        }
        let question = format!("Delete {}", counted(found.len(), "key"));
        if several && self.ctx.will_ask() {
            self.ctx.show_candidates(found.iter().map(|kv| bytes::name(&kv.key)), found.len() as u64);
        }
        if several {
            let named = counted(self.keys.len(), "named key");
            self.ctx.out.note(&format!("Found {} of {named}", found.len()));
        }
        let consent = self.ctx.consent_if_several(self.keys.len(), found.len() as u64, &question)?;
        if let Some(path) = save {
            SaveFile::create(path)?.append(store, &found).await?;
        }
        self.remove(&consent, &found, read.revision, missing).await
    }

    /// Evaluates the conditions in etcd without deleting.
    async fn dry_run(&self, found: &[KeyValue]) -> Result<(), Failure> {
        let [only] = found else { return Ok(()) };
        let compares = self.conditions.compares(&only.key);
        let txn = Txn { compares, then: vec![], otherwise: self.conditions.reads(&only.key) };
        let result = self.ctx.store().txn("delete (dry run)", &txn, self.guard.as_ref(), Retry::Read).await?;
        if result.succeeded {
            return Ok(());
        }
        let why = self.conditions.explain(&only.key, &result.results);
        Err(Failure::conflict(why)
            .condition(self.conditions.failed(&only.key, &result.results))
            .context(format!("dry run: condition failed; {} would not be deleted", bytes::name(&only.key))))
    }

    /// Deletes in transactions of the largest size etcd accepts, each only if its keys have not changed since the read.
    async fn remove(&self, _: &Consent, found: &[KeyValue], mut revision: i64, missing: u64) -> Result<Exit, Failure> {
        let mut deleted: u64 = 0;
        // A lock guard takes one operation.
        for chunk in found.chunks(self.ctx.store().max_txn_ops() - 1) {
            let mut compares: Vec<_> = chunk.iter().map(|kv| Compare::unchanged(&kv.key, kv.mod_revision)).collect();
            let mut otherwise: Vec<_> =
                chunk.iter().map(|kv| Op::get_at(KeySelector::Key(kv.key.clone()), 0)).collect();
            if let [only] = chunk {
                compares.extend(self.conditions.compares(&only.key));
                otherwise = self.conditions.reads(&only.key);
            }
            let then = chunk.iter().map(|kv| delete(&kv.key, false)).collect();
            let txn = Txn { compares, then, otherwise };
            let result = self.ctx.store().txn("delete", &txn, self.guard.as_ref(), Retry::Idempotent).await?;
            if !result.succeeded {
                return Err(self.condition_failed(chunk, &result, deleted));
            }
            deleted += chunk.len() as u64;
            revision = result.revision;
        }
        if self.prev {
            self.print(found)?;
        }
        self.report(deleted, 0, revision, missing)
    }

    fn condition_failed(&self, chunk: &[KeyValue], result: &TxnResult, deleted: u64) -> Failure {
        let changed = chunk.iter().zip(&result.results).find(|(was, now)| match now {
            OpResult::Get { kvs, .. } => kvs.first().map(|kv| kv.mod_revision) != Some(was.mod_revision),
            _ => false,
        });
        let (why, failed) = match changed {
            Some((was, now)) => {
                let why = format!("{} was modified meanwhile", bytes::name(&was.key));
                let is_now = Conditions { revision: Some(was.mod_revision), ..Conditions::default() };
                (why, is_now.failed(&was.key, std::slice::from_ref(now)))
            }
            None => {
                let (key, results) = (&chunk[0].key, &result.results);
                (self.conditions.explain(key, results), self.conditions.failed(key, results))
            }
        };
        let exit = match (result.maybe_applied, deleted) {
            (true, _) => Exit::Unknown,
            (false, 0) => Exit::Conflict,
            _ => Exit::Partial,
        };
        let what = if result.maybe_applied {
            "the first reply was lost, and it is unknown which of the keys were deleted".to_owned()
        } else {
            format!("condition failed after {} deleted", counted(deleted, "key"))
        };
        Failure::new(exit, why).condition(failed).context(what)
    }

    fn print(&self, kvs: &[KeyValue]) -> Result<(), Failure> {
        let mut sink = self.ctx.out.stream();
        for kv in kvs {
            sink.push(kv)?;
        }
        Ok(sink.finish()?)
    }

    fn report(&self, deleted: u64, would_delete: u64, revision: i64, missing: u64) -> Result<Exit, Failure> {
        let dry_run = self.ctx.safety.dry_run;
        if dry_run && !self.ctx.out.is_data() {
            self.ctx.out.note(&format!("dry run: would delete {}", counted(would_delete, "key")));
        }
        if !self.prev {
            let would_delete = dry_run.then_some(would_delete);
            print_answer(self.ctx, &DeleteAnswer { deleted, would_delete, kept: 0, revision }, true)?;
        }
        Ok(if missing > 0 { Exit::No } else { Exit::Done })
    }
}

fn delete(key: &[u8], prev: bool) -> Op {
    Op::Delete { over: KeySelector::Key(key.to_vec()), prev }
}
