//! Records of `txn`.

use super::{Borrowed, Field, Record, Report, Value, always, data};
use crate::kvstore::{KeyValue, OpResult, TxnResult};

/// `txn`.
pub struct TxnAnswer<'a> {
    /// etcd's response.
    pub result: &'a TxnResult,
    /// Whether it was a dry run.
    pub dry_run: bool,
}

fn branch(succeeded: bool) -> &'static str {
    if succeeded { "then" } else { "else" }
}

impl Record for TxnAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("branch", Value::Str(branch(self.result.succeeded))));
        visit(always("revision", Value::Int(self.result.revision)));
        visit(data("succeeded", Value::Bool(self.result.succeeded)));
        if self.dry_run {
            visit(data("dry_run", Value::Bool(true)));
        }
        visit(data("results", records(&self.result.results)));
    }
}

fn records(results: &[OpResult]) -> Value<'_> {
    Value::records(results.iter())
}

fn kvs(kvs: &[KeyValue]) -> Value<'_> {
    Value::records(kvs.iter())
}

impl Record for OpResult {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        match self {
            Self::Put { prev } => {
                visit(always("op", Value::Str("put")));
                if let Some(prev) = prev {
                    visit(data("prev", kvs(std::slice::from_ref(prev))));
                }
            }
            Self::Get { kvs: found, count, more } => {
                visit(always("op", Value::Str("get")));
                visit(always("count", Value::Uint(*count)));
                visit(data("more", Value::Bool(*more)));
                visit(data("kvs", kvs(found)));
            }
            Self::Delete { deleted, prev } => {
                visit(always("op", Value::Str("delete")));
                visit(always("deleted", Value::Uint(*deleted)));
                if !prev.is_empty() {
                    visit(data("prev", kvs(prev)));
                }
            }
            Self::Txn { succeeded, results } => {
                visit(always("op", Value::Str("txn")));
                visit(always("branch", Value::Str(branch(*succeeded))));
                visit(data("succeeded", Value::Bool(*succeeded)));
                visit(data("results", records(results)));
            }
        }
    }
}

impl Report for TxnAnswer<'_> {
    /// The branch, then each result followed by its records.
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        let branch: Box<dyn Record + '_> =
            if self.dry_run { Box::new(DryRunBranch(self.result)) } else { Box::new(Borrowed(self)) };
        let mut rows = vec![branch];
        results(&mut rows, &self.result.results);
        rows
    }

    fn tabular(&self) -> bool {
        false
    }
}

fn results<'a>(rows: &mut Vec<Box<dyn Record + 'a>>, all: &'a [OpResult]) {
    for result in all {
        rows.push(Box::new(Borrowed(result)));
        match result {
            OpResult::Put { prev } => rows.extend(prev.iter().map(|kv| labelled("prev", kv))),
            OpResult::Get { kvs, .. } => rows.extend(kvs.iter().map(|kv| labelled("kv", kv))),
            OpResult::Delete { prev, .. } => rows.extend(prev.iter().map(|kv| labelled("prev", kv))),
            OpResult::Txn { results: nested, .. } => results(rows, nested),
        }
    }
}

/// The branch that would run, and the revision at which the conditions were compared.
struct DryRunBranch<'a>(&'a TxnResult);

impl Record for DryRunBranch<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("branch", Value::Str(if self.0.succeeded { "would-then" } else { "would-else" })));
        visit(always("revision", Value::Int(self.0.revision)));
    }
}

fn labelled<'a>(label: &'static str, kv: &'a KeyValue) -> Box<dyn Record + 'a> {
    Box::new(LabelledRecord(label, kv))
}

/// A record of an operation, after its label.
struct LabelledRecord<'a>(&'static str, &'a KeyValue);

impl Record for LabelledRecord<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("what", Value::Str(self.0)));
        self.1.fields(visit);
    }
}
