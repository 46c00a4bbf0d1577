//! Whether all changes up to a revision have arrived, although the source sends nothing when there is nothing to send.

use super::session::MirrorSession;
use crate::kvstore::{ReadOptions, Revision};
use crate::sync::mirror::MirrorError;

impl MirrorSession<'_> {
    /// Whether the prefix is the same at `target` as it is now in the destination, whose changes up to `reached` are
    /// applied: no key was written since, and there are as many keys, so none was deleted.
    pub(super) async fn is_caught_up(&self, reached: Revision, target: Revision) -> Result<bool, MirrorError> {
        let options = ReadOptions { revision: target, keys_only: true, ..ReadOptions::default() };
        let place = self.mapping.to_source(&self.place);
        let mut reader = self.source.read(&self.mapping.source_range(), options);
        let mut keys: u64 = 0;
        while let Some(page) = reader.next().await.map_err(MirrorError::Source)? {
            for kv in page.iter().filter(|kv| Some(&kv.key) != place.as_ref()) {
                if kv.mod_revision > reached {
                    return Ok(false);
                }
                keys += 1;
            }
        }
        Ok(keys == self.known.len())
    }
}
