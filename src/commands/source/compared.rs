//! What is known of the source of a comparison, and its failures in words.

use tokio::time::timeout;

use crate::commands::input::bad_records;
use crate::commands::serializable::ReadStore;
use crate::error::Failure;
use crate::kvstore::{Error, KeyRange, LocalError, Refusal, Revision, Store, WatchOptions, WatchUpdate};
use crate::output::Trailer;
use crate::shell;
use crate::sync::{Comparison, KeyMapping, SyncError};

/// A comparison that has begun, and what is known of its source.
pub struct Compared {
    /// The comparison.
    pub comparison: Comparison,
    /// The source.
    pub source: ComparedSource,
}

/// What is known of the source of a comparison.
pub struct ComparedSource {
    /// How messages name it.
    pub name: String,
    /// Which keys correspond to each other.
    pub mapping: KeyMapping,
    /// The store of the source, if it is another one than this.
    pub other: Option<ReadStore>,
    /// The revision, if the source is this store itself.
    pub history: Option<Revision>,
    /// The trailer of a file.
    pub trailer: Option<Trailer>,
    /// Whether it is a file, or stdin.
    pub is_file: bool,
    /// Whether it is a database file without a SHA-256.
    pub is_unproved: bool,
}

impl ComparedSource {
    /// The source and its revision, in words.
    pub fn describe(&self, revision: Option<Revision>) -> String {
        match (self.history, revision) {
            (Some(revision), _) => format!("this store at revision {revision}"),
            (None, Some(revision)) => format!("{} at revision {revision}", self.name),
            (None, None) => self.name.clone(),
        }
    }

    /// The failure for an error of the comparison. A compacted revision is answered with the oldest one that can be read.
    pub async fn failure(&self, here: &ReadStore, error: SyncError) -> Failure {
        let (of_source, error) = match error {
            SyncError::Source(error) => (true, error),
            SyncError::Store(error) => (false, error),
            other => return bad_records(other),
        };
        let compacted = error.is_refusal(Refusal::Compacted);
        let range = if of_source { self.mapping.source_range() } else { self.mapping.store_range() };
        let read = self.other.as_ref().filter(|_| of_source).unwrap_or(here);
        // A file names it itself.
        let asks = compacted && !read.store.is_local();
        let oldest = if asks { oldest_revision(&read.store, range).await } else { None };
        let mut failure = read.explain(Failure::from(error));
        let hint = file_hint(&failure, self.history.is_some()).filter(|_| of_source);
        if of_source {
            failure = failure.context(cannot_read(&self.name));
            if let Some(name) = context_of(&self.name) {
                failure = failure.in_context(name);
            }
        }
        if let Some(hint) = hint {
            failure.hints = vec![hint];
        }
        if let Some(oldest) = oldest {
            failure.hints.clear();
            failure = failure.hint(format!("the oldest revision that can be read is {oldest}"));
        }
        failure
    }
}

/// The revision of a file to name instead of one that the file does not have. `is_history`: the file is that of `--db`, and the
/// source one of its revisions.
fn file_hint(failure: &Failure, is_history: bool) -> Option<String> {
    let Some(Error::Local { store, cause }) = failure.store_error() else { return None };
    let source = |revision: &Revision| {
        let word = if is_history { format!("rev:{revision}") } else { format!("db:{store}@{revision}") };
        shell::quote(word.as_bytes())
    };
    match cause {
        LocalError::Compacted { oldest, .. } => Some(format!("use --source {} or a later revision", source(oldest))),
        LocalError::FutureRevision { latest, .. } => {
            Some(format!("use --source {} or an earlier revision", source(latest)))
        }
        _ => None,
    }
}

/// The oldest revision that can be read: etcd tells it only to a watch that begins before.
async fn oldest_revision(store: &Store, range: KeyRange) -> Option<Revision> {
    let options = WatchOptions { ranges: vec![range], start: 1, known: 1, prev: false };
    let mut watcher = store.watch(options);
    match timeout(store.options().op_timeout, watcher.next()).await {
        Ok(Ok(WatchUpdate::Compacted(oldest))) => Some(oldest),
        _ => None,
    }
}

/// The context of a source, from its name in messages.
pub(super) fn context_of(name: &str) -> Option<&str> {
    name.strip_prefix("context '")?.strip_suffix('\'')
}

/// What failed, for a source with this name.
pub(super) fn cannot_read(source: &str) -> String {
    format!("cannot read the source, {source}")
}
