//! Selects the records of a listing.

use super::options::Args;
use super::revisions::RevisionBounds;
use crate::commands::select::KeyFilter;
use crate::commands::value_filter::ValueFilter;
use crate::error::Failure;
use crate::kvstore::{KeyValue, Revision};

/// The conditions on a record; all must hold.
#[derive(Debug)]
pub(super) struct RecordFilter {
    key: Option<KeyFilter>,
    value: Option<ValueFilter>,
    /// The record was written after this revision.
    since: Option<Revision>,
    revisions: RevisionBounds,
}

impl RecordFilter {
    /// The filter of the options.
    ///
    /// # Errors
    /// A usage error for an invalid glob, text or regular expression, or for revisions that no key can have.
    pub(super) fn of(args: &Args) -> Result<Self, Failure> {
        let (key, value) = (args.selection.filter()?, args.values.filter(args.selection.text)?);
        args.revisions.check()?;
        Ok(Self { key, value, since: args.since_rev, revisions: args.revisions })
    }

    /// Whether every record matches.
    pub(super) fn is_empty(&self) -> bool {
        self.key.is_none() && self.value.is_none() && self.since.is_none() && self.revisions.is_empty()
    }

    /// Whether the values must be read.
    pub(super) fn needs_values(&self) -> bool {
        self.value.is_some()
    }

    pub(super) fn matches(&self, kv: &KeyValue) -> bool {
        self.since.is_none_or(|since| kv.mod_revision > since)
            && self.revisions.contain(kv)
            && self.key.as_ref().is_none_or(|filter| filter.matches(&kv.key))
            && self.value.as_ref().is_none_or(|filter| filter.matches(&kv.value))
    }
}
