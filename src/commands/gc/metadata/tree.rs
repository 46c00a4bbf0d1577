//! Reads and marks a tree.

use std::sync::Arc;

use tokio::time::Instant;

use super::job::MetadataJob;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::metadata::collect::{ReadError, read_tree};
use crate::gc::metadata::mark::{Marking, ObjectVerdict, RootReason, mark};
use crate::gc::metadata::model::{Model, ObjectId, TreeProblem};
use crate::gc::metadata::schema::RootRule;
use crate::kvstore::Store;
use crate::output::{GcPhase, Progress, bytes};
use crate::plural::counted;
use crate::time::Time;

/// A tree and its marking.
pub struct MarkedTree {
    /// The tree.
    pub model: Arc<Model>,
    /// Which objects are kept.
    pub marking: Marking,
    /// Durations of reading and marking.
    pub phases: Vec<GcPhase>,
}

/// Reads a tree and marks what its roots keep.
///
/// # Errors
/// The tree cannot be read or does not match the schema, or an outside root cannot be an object of the tree.
pub async fn read_and_mark(
    ctx: &Context,
    store: &Store,
    job: &MetadataJob,
    progress: &Progress,
) -> Result<MarkedTree, Failure> {
    // The clock is read first: an object that expires during the read counts as unexpired.
    let now = job.now.unwrap_or_else(Time::now);
    let begun = Instant::now();
    let mut shown = 0;
    let read = read_tree(store, &job.schema, &job.prefix, |totals, total| {
        progress.set_total(total);
        // A read that starts over counts from zero again.
        progress.inc(totals.keys.saturating_sub(shown));
        shown = totals.keys;
    });
    let model = Arc::new(read.await.map_err(read_failure)?);
    let took_read = begun.elapsed();
    let outside = outside_roots(ctx, job, &model)?;
    let begun = Instant::now();
    let marking = mark(&model, now, now - job.skew, &outside);
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let read =
        GcPhase { name: "read", took_ms: millis(took_read), memory: Some(model.memory() as u64), ..GcPhase::default() };
    let mark = GcPhase { name: "mark", took_ms: millis(begun.elapsed()), ..GcPhase::default() };
    Ok(MarkedTree { model, marking, phases: vec![read, mark] })
}

fn read_failure(error: ReadError) -> Failure {
    match error {
        ReadError::Store(error) => error.into(),
        ReadError::Prefix => Failure::usage(error.to_string()),
        ReadError::Model(_) => Failure::new(Exit::Conflict, error.to_string()),
    }
}

/// The objects named as outside roots.
fn outside_roots(ctx: &Context, job: &MetadataJob, model: &Model) -> Result<Vec<ObjectId>, Failure> {
    let mut found = Vec::new();
    let mut missing = 0;
    for key in &job.roots {
        let (ids, possible) = model.find_all(key);
        if !possible {
            return Err(Failure::usage(format!("--roots: {} cannot be an object of this tree", bytes::escape(key)))
                .hint("give full keys of objects, such as /containerd/v1/NAMESPACE/content/blob/DIGEST"));
        }
        missing += usize::from(!ids.iter().any(|id| model.exists(*id)));
        found.extend(ids);
    }
    if missing > 0 {
        ctx.out.warn(&format!("{missing} of {} not found in the tree", counted(job.roots.len(), "outside root")));
    }
    Ok(found)
}

impl MarkedTree {
    /// The key to print for an object; for one that is only referred to, its scope and identity.
    pub fn title(&self, store: &Store, id: ObjectId) -> Vec<u8> {
        let model = &self.model;
        match model.key(id) {
            Some(key) => store.absolute(&key),
            None => {
                let scope = model.scope(id);
                let slash: &[u8] = if scope.is_empty() { b"" } else { b"/" };
                [scope, slash, model.identity(id)].concat()
            }
        }
    }

    /// The state of an object and the reason for it.
    pub fn verdict(&self, id: ObjectId) -> (&'static str, String) {
        match self.marking.verdict(&self.model, id) {
            ObjectVerdict::Root(reason) => ("root", self.root_text(id, reason)),
            ObjectVerdict::Held => ("kept", "reachable from a root".to_owned()),
            ObjectVerdict::Expired(time) => ("garbage", format!("expired at {time} and not reachable from a root")),
            ObjectVerdict::Unreachable => ("garbage", "not reachable from a root".to_owned()),
            ObjectVerdict::NotCollected => {
                ("not-collected", "not reachable from a root, but its kind is not collected".to_owned())
            }
            ObjectVerdict::Absent => ("absent", "does not exist, is only referred to".to_owned()),
        }
    }

    /// Why an object is a root.
    pub fn root_text(&self, id: ObjectId, reason: RootReason) -> String {
        let kind = self.model.kind(id);
        let field = |rule: usize| match kind.roots.get(rule) {
            Some(RootRule::Field { text, .. }) => text.clone(),
            Some(RootRule::Unexpired { field, .. }) => bytes::escape(field),
            Some(RootRule::Unless { text, .. }) => text.clone(),
            None => String::new(),
        };
        match reason {
            RootReason::Always => format!("every {} is a root", kind.name),
            RootReason::Field(rule) => format!("the field {} is present", field(rule)),
            RootReason::Unexpired(rule, time) => format!("{} is {time}, which has not passed", field(rule)),
            RootReason::NoExpiry(rule) => format!("never expires: {} is missing", field(rule)),
            RootReason::BadTime(rule) => format!("{} is not a valid time, so it counts as unexpired", field(rule)),
            RootReason::NoOwner(rule) => format!("no owner: {} names none", field(rule)),
            RootReason::Outside => "listed as an outside root".to_owned(),
            RootReason::ForeignKeys => "contains keys that may not be its own".to_owned(),
        }
    }

    /// Why the tree must not be swept.
    pub fn refusals(&self, job: &MetadataJob) -> Vec<SweepRefusal> {
        let totals = self.model.totals();
        let (unparsed, ambiguous) = (totals.unparsed, totals.ambiguous);
        let mut found = Vec::new();
        if !job.ignore_unparsed && unparsed + ambiguous > 0 {
            found.push(SweepRefusal {
                why: format!(
                    "{} not matching the schema '{}' and {} matching several objects may hold references",
                    counted(unparsed, "key"),
                    job.schema.name,
                    counted(ambiguous, "key")
                ),
                hint: "list them with --check; --ignore-unparsed keeps keys that do not match the schema",
            });
        }
        if !job.ignore_unresolved
            && let Some(why) = self.unresolved()
        {
            found.push(SweepRefusal {
                why: format!("{why}, so what they refer to may be removed"),
                hint: "list them with --check and correct the schema or the fields; --ignore-unresolved removes objects \
                       although such a reference may mean them",
            });
        }
        let bad = self.marking.blocking(&self.model);
        if let Some(first) = bad.first().filter(|_| !job.ignore_bad_times) {
            found.push(SweepRefusal {
                why: format!(
                    "{} a time that is not valid, at which the schema stops a sweep; the first is {}",
                    if bad.len() == 1 {
                        "1 object has".to_owned()
                    } else {
                        format!("{} have", counted(bad.len(), "object"))
                    },
                    bytes::escape(first)
                ),
                hint: "write a valid time or delete the field; --ignore-bad-times keeps such objects as roots",
            });
        }
        found
    }

    /// How many references cannot be resolved, and which is the first; `None` without any.
    pub fn unresolved(&self) -> Option<String> {
        let count: u64 = self.model.unresolved().iter().sum();
        let first = self.model.problems().iter().find_map(|problem| match problem {
            TreeProblem::BadReference(id, _, field) => Some([&self.model.key(*id)?, b"/".as_slice(), field].concat()),
            _ => None,
        });
        let first = first.map_or_else(String::new, |key| format!(" (the first is {})", bytes::escape(&key)));
        (count > 0).then(|| format!("{} cannot be resolved{first}", counted(count, "reference")))
    }
}

/// Why a tree must not be swept, and what to do.
pub struct SweepRefusal {
    /// Why.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
}
