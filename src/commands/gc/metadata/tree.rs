//! The tree, read and marked.

use std::sync::Arc;

use tokio::time::Instant;

use super::MetadataJob;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::metadata::collect::{ReadError, read_tree};
use crate::gc::metadata::mark::{Marking, ObjectVerdict, RootReason, mark};
use crate::gc::metadata::model::{Model, ObjectId};
use crate::gc::metadata::schema::RootRule;
use crate::gc::metadata::time::Time;
use crate::kvstore::Store;
use crate::output::{GcPhase, Progress, bytes};

/// A tree and what is kept of it.
pub struct MarkedTree {
    /// The tree.
    pub model: Arc<Model>,
    /// What is kept.
    pub marking: Marking,
    /// How long reading and marking took.
    pub phases: Vec<GcPhase>,
}

/// Reads and marks.
///
/// # Errors
/// A tree that cannot be read or that the schema does not describe; outside roots that can be nothing in it.
pub async fn read_and_mark(
    ctx: &Context,
    store: &Store,
    job: &MetadataJob,
    progress: &Progress,
) -> Result<MarkedTree, Failure> {
    // The clock is read first: what expires while the tree is read is still needed.
    let now = job.now.unwrap_or_else(Time::now);
    let begun = Instant::now();
    let mut shown = 0;
    let read = read_tree(store, &job.schema, &job.prefix, |totals, total| {
        progress.set_total(total);
        // A reading that begins anew counts from none again.
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

/// The objects that the file of outside roots names.
fn outside_roots(ctx: &Context, job: &MetadataJob, model: &Model) -> Result<Vec<ObjectId>, Failure> {
    let mut found = Vec::new();
    let mut missing = 0;
    for key in &job.roots {
        let (ids, possible) = model.find_all(key);
        if !possible {
            return Err(Failure::usage(format!("--roots: {} can be no object of this tree", bytes::escape(key)))
                .hint("name objects by their keys, with the prefix: /containerd/v1/NAMESPACE/content/blob/DIGEST"));
        }
        missing += usize::from(!ids.iter().any(|id| model.exists(*id)));
        found.extend(ids);
    }
    if missing > 0 {
        ctx.out.warn(&format!("{missing} of the {} outside roots are not in the tree", job.roots.len()));
    }
    Ok(found)
}

impl MarkedTree {
    /// The object's key as it is shown; of what is only referred to, its kind and name.
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

    /// What becomes of an object: a word, and why.
    pub fn verdict(&self, id: ObjectId) -> (&'static str, String) {
        match self.marking.verdict(&self.model, id) {
            ObjectVerdict::Root(reason) => ("root", self.root_text(id, reason)),
            ObjectVerdict::Held => ("kept", "a root keeps it".to_owned()),
            ObjectVerdict::Expired(time) => ("garbage", format!("it expired at {time}, and nothing else keeps it")),
            ObjectVerdict::Unreachable => ("garbage", "nothing keeps it".to_owned()),
            ObjectVerdict::NotCollected => {
                ("not-collected", "nothing keeps it, but its kind is not collected".to_owned())
            }
            ObjectVerdict::Absent => ("absent", "it is not there, only referred to".to_owned()),
        }
    }

    /// Why an object is a root.
    pub fn root_text(&self, id: ObjectId, reason: RootReason) -> String {
        let kind = self.model.kind(id);
        let field = |rule: usize| match kind.roots.get(rule) {
            Some(RootRule::Field { text, .. }) => text.clone(),
            Some(RootRule::Unexpired { field, .. }) => bytes::escape(field),
            None => String::new(),
        };
        match reason {
            RootReason::Always => format!("every {} is a root", kind.name),
            RootReason::Field(rule) => format!("{} is there", field(rule)),
            RootReason::Unexpired(rule, time) => format!("{} says {time}, which is not over", field(rule)),
            RootReason::NoExpiry(rule) => format!("it never expires: there is no {}", field(rule)),
            RootReason::BadTime(rule) => format!("{} cannot be read as a moment, and so is not over", field(rule)),
            RootReason::Outside => "it is among the outside roots".to_owned(),
            RootReason::ForeignKeys => "keys that are not surely its own lie inside it".to_owned(),
        }
    }

    /// Why the tree cannot be swept; nothing where it can.
    pub fn refusal(&self, job: &MetadataJob) -> Option<String> {
        let totals = self.model.totals();
        let (strange, ambiguous) = (totals.unparsed, totals.ambiguous);
        if !job.ignore_unparsed && strange + ambiguous > 0 {
            return Some(format!(
                "{strange} keys fit nothing in the schema '{}', and {ambiguous} fit several objects: they may hold \
                 references",
                job.schema.name
            ));
        }
        let bad = self.marking.blocking(&self.model);
        let first = bad.first().and_then(|id| self.model.key(*id))?;
        Some(format!(
            "{} objects have a moment that cannot be read, and the schema stops at that: {} first",
            bad.len(),
            bytes::escape(&first)
        ))
    }
}
