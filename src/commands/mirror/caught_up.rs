//! Whether all changes up to a revision have arrived, although the source sends nothing when there is nothing to send.

use tokio::time::Instant;

use super::following::SourceNow;
use super::session::MirrorSession;
use crate::kvstore::{Error, KeyRange, ReadOptions, Revision, Store};
use crate::sync::mirror::MirrorError;

/// What is compared with the source.
#[derive(Clone)]
pub(super) struct AppliedState {
    source: Store,
    range: KeyRange,
    /// The place key, as the source would name it.
    place: Option<Vec<u8>>,
    /// All changes up to this revision are applied.
    reached: Revision,
    /// The number of keys of the prefix.
    keys: u64,
}

impl AppliedState {
    /// Whether the prefix is the same at `target` as the destination is: no key was written since, and there are as many
    /// keys, so none was deleted.
    async fn is_that_of(&self, target: Revision) -> Result<bool, Error> {
        let options = ReadOptions { revision: target, keys_only: true, ..ReadOptions::default() };
        let mut reader = self.source.read(&self.range, options);
        let mut keys: u64 = 0;
        while let Some(page) = reader.next().await? {
            for kv in page.iter().filter(|kv| Some(&kv.key) != self.place.as_ref()) {
                if kv.mod_revision > self.reached {
                    return Ok(false);
                }
                keys += 1;
            }
        }
        Ok(keys == self.keys)
    }

    /// The source's present revision; with `compare`, and whether it has changes that are not applied.
    pub(super) async fn ask(self, compare: bool) -> Result<SourceNow, Error> {
        let revision = self.source.revision_for(&self.range).await?;
        let begun = Instant::now();
        let is_applied = revision <= self.reached || (compare && self.is_that_of(revision).await?);
        Ok(SourceNow { revision, is_applied, took: begun.elapsed() })
    }
}

impl MirrorSession<'_> {
    /// What the destination has, if no transaction is in flight.
    pub(super) fn applied_state(&self, reached: Revision) -> AppliedState {
        AppliedState {
            source: self.source.clone(),
            range: self.mapping.source_range(),
            place: self.mapping.to_source(&self.place),
            reached,
            keys: self.known.len(),
        }
    }

    /// Whether all changes up to `target` are applied. The destination's changes up to `reached` are.
    pub(super) async fn is_caught_up(&self, reached: Revision, target: Revision) -> Result<bool, MirrorError> {
        self.applied_state(reached).is_that_of(target).await.map_err(MirrorError::Source)
    }
}
