//! Prints explanations, findings and graphs of a tree.

use std::io::{self, Write};

use super::job::MetadataJob;
use super::tree::{MarkedTree, read_and_mark};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::metadata::check::{TreeFinding, check as find, ends};
use crate::gc::metadata::explain::{Referrer, explain as explain_object};
use crate::gc::metadata::graph::{neighbourhood, write_dot};
use crate::gc::metadata::mark::PathStep;
use crate::gc::metadata::model::{Edge, ObjectId};
use crate::kvstore::Store;
use crate::output::{ExplanationAnswer, FindingRow, Out, PathRow, bytes};
use crate::plural::counted;

async fn tree(ctx: &Context, job: &MetadataJob) -> Result<MarkedTree, Failure> {
    let progress = ctx.out.progress("scanning", None);
    let tree = read_and_mark(ctx, ctx.store(), job, &progress).await;
    progress.finish();
    tree
}

/// Explains why an object is kept or would be removed. `key` may also be one of the object's fields.
///
/// # Errors
/// As [`read_and_mark`]; [`Exit::No`] if there is no such object.
pub async fn explain(ctx: &Context, job: &MetadataJob, key: &[u8]) -> Result<Exit, Failure> {
    let tree = tree(ctx, job).await?;
    let store = ctx.store();
    let id = tree.object(key)?;
    let explanation = explain_object(&tree.model, &tree.marking, id);
    let (verdict, why) = tree.verdict(id);
    let row = |step: &PathStep| tree.path_row(store, *step);
    let path = if explanation.path.len() > 1 { explanation.path.iter().map(row).collect() } else { Vec::new() };
    ctx.out.report(&ExplanationAnswer {
        kind: tree.model.kind(id).name.clone(),
        key: tree.title(store, id),
        scope: tree.model.scope(id).to_vec(),
        identity: tree.model.identity(id).to_vec(),
        verdict,
        why,
        path,
        referrers: explanation.referrers.iter().map(|referrer| tree.referrer_row(store, referrer)).collect(),
    })?;
    Ok(Exit::Done)
}

impl MarkedTree {
    /// The object that a key belongs to.
    fn object(&self, key: &[u8]) -> Result<ObjectId, Failure> {
        self.model.find(key).ok_or_else(|| {
            let (_, possible) = self.model.find_all(key);
            let why = if possible {
                "no such object, and no reference to one"
            } else {
                "not a key of an object in this tree"
            };
            Failure::new(Exit::No, format!("{}: {why}", bytes::escape(key)))
        })
    }

    fn path_row(&self, store: &Store, step: PathStep) -> PathRow {
        let by = match step.edge {
            Some(edge) => self.edge_text(store, edge),
            None => self
                .marking
                .root_reason(&self.model, step.object)
                .map_or_else(String::new, |why| self.root_text(step.object, why)),
        };
        PathRow {
            step: if step.edge.is_some() { "keeps" } else { "root" },
            kind: self.model.kind(step.object).name.clone(),
            key: self.title(store, step.object),
            by,
            flat: step.flat,
        }
    }

    fn referrer_row(&self, store: &Store, referrer: &Referrer) -> PathRow {
        let from = referrer.edge.from;
        PathRow {
            step: if referrer.kept && !referrer.idle {
                "keeps"
            } else if referrer.idle {
                "idle"
            } else {
                "refers"
            },
            kind: self.model.kind(from).name.clone(),
            key: self.title(store, from),
            by: self.edge_text(store, referrer.edge),
            flat: false,
        }
    }

    /// The field that an edge is read from; for a back reference, with the object that has the field.
    fn edge_text(&self, store: &Store, edge: Edge) -> String {
        let rule = self.model.rule(edge);
        if !rule.back {
            return rule.text.clone();
        }
        format!("{} of {}", rule.text, bytes::escape(&self.title(store, edge.to)))
    }
}

/// Prints what is wrong with the tree.
///
/// # Errors
/// As [`read_and_mark`].
pub async fn check(ctx: &Context, job: &MetadataJob) -> Result<Exit, Failure> {
    let tree = tree(ctx, job).await?;
    let mut problems = 0;
    let mut sink = ctx.out.stream();
    let found = find(&tree.model, &tree.marking);
    for finding in &found {
        let (key, text) = tree.finding(ctx.store(), finding);
        problems += u64::from(finding.is_problem());
        let severity = if finding.is_problem() { "problem" } else { "note" };
        sink.push(&FindingRow { severity, finding: finding.name(), key: &key, text: &text })?;
    }
    sink.finish()?;
    let totals = tree.model.totals();
    let (keys, notes) = (totals.keys, found.len() as u64 - problems);
    let (problems_text, notes, keys) = (counted(problems, "problem"), counted(notes, "note"), counted(keys, "key"));
    ctx.out.note(&format!("{problems_text} and {notes} in {keys} (revision {})", tree.model.revision()));
    Ok(if problems > 0 { Exit::No } else { Exit::Done })
}

impl MarkedTree {
    /// The key that a finding concerns, and its text.
    fn finding(&self, store: &Store, finding: &TreeFinding) -> (Vec<u8>, String) {
        let model = &self.model;
        let name = |id| format!("{} {}", model.kind(id).name, bytes::escape(&self.title(store, id)));
        let fields = |id, field: &[u8]| [&self.title(store, id), b"/".as_slice(), field].concat();
        match finding {
            TreeFinding::Unparsed(key) => (store.absolute(key), "the key does not match the schema".to_owned()),
            TreeFinding::Ambiguous(key) => (store.absolute(key), "the key could belong to several objects".to_owned()),
            TreeFinding::Unanchored(id) => {
                let anchor = model.kind(*id).anchor.as_deref().map(bytes::escape).unwrap_or_default();
                (self.title(store, *id), format!("{} object without its anchor {anchor}", model.kind(*id).name))
            }
            TreeFinding::Dangling(edge) => {
                let (holder, missing) = ends(model, *edge);
                let text = format!("{} refers to {}, which does not exist", model.rule(*edge).text, name(missing));
                (self.title(store, holder), text)
            }
            TreeFinding::CrossScope(edge, elsewhere) => {
                let (holder, missing) = ends(model, *edge);
                let text = format!(
                    "{} refers to {}, which does not exist; {} does, but references stay within their scope",
                    model.rule(*edge).text,
                    name(missing),
                    name(*elsewhere)
                );
                (self.title(store, holder), text)
            }
            TreeFinding::StaleLink { target, key, .. } => {
                (store.absolute(key), format!("the field names {}, which does not refer back", name(*target)))
            }
            TreeFinding::BadTime(_, key) => {
                (store.absolute(key), "the value is not a time in the schema's format".to_owned())
            }
            TreeFinding::NoExpiry(id) => {
                (self.title(store, *id), format!("{} object that never expires", model.kind(*id).name))
            }
            TreeFinding::BadReference(id, rule, field) => {
                let rule = model.schema().edges.get(usize::from(*rule));
                let (text, other) =
                    rule.map_or(("", ""), |rule| (rule.text.as_str(), model.schema().kind(rule.other).name.as_str()));
                (
                    fields(*id, field),
                    format!("{text} refers to no {other} that can exist; the reference is not followed"),
                )
            }
            TreeFinding::Unread(id, field) => {
                (fields(*id, field), "the field's name is reserved, but no rule reads it".to_owned())
            }
        }
    }
}

/// Prints the tree as a DOT graph, or the part of it around an object: its key, and how many edges away.
///
/// # Errors
/// As [`read_and_mark`]; [`Exit::No`] if there is no such object.
pub async fn graph(ctx: &Context, job: &MetadataJob, around: Option<(&[u8], u32)>) -> Result<Exit, Failure> {
    let tree = tree(ctx, job).await?;
    let only = match around {
        Some((key, depth)) => Some(neighbourhood(&tree.model, tree.object(key)?, depth)),
        None => None,
    };
    write_dot(&tree.model, &tree.marking, only.as_ref(), &mut ResultWriter(&ctx.out))?;
    ctx.out.flush()?;
    Ok(Exit::Done)
}

struct ResultWriter<'a>(&'a Out);

impl Write for ResultWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bytes(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
