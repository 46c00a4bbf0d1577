//! Assembles whole revisions from responses that etcd may fragment.

use crate::kvstore::types::Revision;
use crate::kvstore::watch::wire::RawEvent;

/// The memory for the changes of one revision. A revision is returned whole, so it must fit; without a limit a server could
/// continue a revision for ever. A deletion of about a million keys needs this much.
const MAX_REVISION_BYTES: usize = 256 << 20;

/// The position of a watch: each revision is returned once and as a whole.
pub struct Assembly {
    next: Revision,
    /// The events of the last revision, which the next fragment may continue.
    partial: Vec<RawEvent>,
    partial_bytes: usize,
}

/// The changes of this revision exceed [`MAX_REVISION_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OversizedRevision(Revision);

impl OversizedRevision {
    /// What is wrong, and how to avoid it.
    pub(crate) fn message(self) -> String {
        let Self(revision) = self;
        format!(
            "the changes of revision {revision} exceed {} MiB, kvadm's limit for one revision; watch fewer keys, or start \
             after it with --rev {}",
            MAX_REVISION_BYTES >> 20,
            revision.saturating_add(1)
        )
    }
}

impl Assembly {
    /// Starts at this revision.
    pub fn new(next: Revision) -> Self {
        Self { next, partial: Vec::new(), partial_bytes: 0 }
    }

    /// The first revision that was not returned yet.
    pub(crate) fn next(&self) -> Revision {
        self.next
    }

    /// Adds one response, continued by another one if `more`, and returns the events of whole revisions. Events before
    /// the position are dropped: a lagging member may send them again.
    ///
    /// # Errors
    /// The changes of one revision exceed the limit.
    pub fn push(&mut self, mut events: Vec<RawEvent>, more: bool) -> Result<Vec<RawEvent>, OversizedRevision> {
        let next = self.next;
        let before = self.partial.len();
        events.retain(|event| event.revision >= next);
        // A response of a backlog has up to 128 000 events: they are not copied if nothing precedes them.
        if self.partial.is_empty() {
            self.partial = events;
        } else {
            self.partial.append(&mut events);
        }
        let Some(last) = self.partial.last().map(|event| event.revision) else { return Ok(Vec::new()) };
        if !more {
            self.next = last.saturating_add(1);
            self.partial_bytes = 0;
            return Ok(std::mem::take(&mut self.partial));
        }
        self.next = self.next.max(last);
        // The events before are all of one revision: only the new ones can begin another one.
        let continued = self.partial.first().map(|event| event.revision) == Some(last);
        if !continued {
            self.partial_bytes = 0;
        }
        let cut = if continued { 0 } else { self.partial.partition_point(|event| event.revision < last) };
        let added = self.partial.get(before.max(cut)..).unwrap_or_default();
        self.partial_bytes = added.iter().map(RawEvent::bytes).fold(self.partial_bytes, usize::saturating_add);
        if self.partial_bytes > MAX_REVISION_BYTES {
            return Err(OversizedRevision(last));
        }
        if cut == 0 {
            return Ok(Vec::new());
        }
        let rest = self.partial.split_off(cut);
        Ok(std::mem::replace(&mut self.partial, rest))
    }

    /// Records that all events up to this revision were sent. Returns whether the position moved.
    pub(crate) fn progress(&mut self, revision: Revision) -> bool {
        let moved = self.partial.is_empty() && revision >= self.next;
        if moved {
            self.next = revision.saturating_add(1);
        }
        moved
    }

    /// Drops the fragments of an incomplete revision: a new stream sends that revision from its start.
    pub(crate) fn discard_partial(&mut self) {
        self.partial.clear();
        self.partial_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: Revision, key: &str) -> RawEvent {
        RawEvent::put(key.as_bytes(), b"", revision)
    }

    fn push(assembly: &mut Assembly, events: Vec<RawEvent>, more: bool) -> Vec<RawEvent> {
        assembly.push(events, more).unwrap_or_default()
    }

    fn summary(events: &[RawEvent]) -> Vec<(Revision, String)> {
        let name = |event: &RawEvent| Some(String::from_utf8_lossy(&event.decode()?.kv?.key).into_owned());
        events.iter().map(|event| (event.revision, name(event).unwrap_or_default())).collect()
    }

    #[test]
    fn a_fragmented_revision_is_returned_whole() {
        let mut assembly = Assembly::new(5);
        assert_eq!(summary(&push(&mut assembly, vec![event(5, "a"), event(6, "b")], true)), [(5, "a".to_owned())]);
        assert_eq!(assembly.next(), 6);
        assert_eq!(summary(&push(&mut assembly, vec![event(6, "c")], true)), []);
        assert!(!assembly.progress(9));
        assert_eq!(
            summary(&push(&mut assembly, vec![event(6, "d"), event(7, "e")], false)),
            [(6, "b".into()), (6, "c".into()), (6, "d".into()), (7, "e".into())]
        );
        assert_eq!(assembly.next(), 8);
    }

    #[test]
    fn a_cut_between_two_pieces_repeats_the_revision_and_nothing_else() {
        let mut assembly = Assembly::new(1);
        assert_eq!(push(&mut assembly, vec![event(1, "a"), event(2, "b")], true).len(), 1);
        assembly.discard_partial();
        assert_eq!(assembly.next(), 2);
        assert_eq!(
            summary(&push(&mut assembly, vec![event(2, "b"), event(2, "c")], false)),
            [(2, "b".into()), (2, "c".into())]
        );
    }

    #[test]
    fn what_a_lagging_member_sends_again_is_dropped_and_the_position_never_decreases() {
        let mut assembly = Assembly::new(10);
        assert!(push(&mut assembly, vec![event(8, "a"), event(9, "b")], false).is_empty());
        assert_eq!(assembly.next(), 10);
        assert!(!assembly.progress(4) && !assembly.progress(9) && assembly.progress(10));
        assert_eq!(assembly.next(), 11);
    }

    #[test]
    fn a_revision_without_end_is_refused() {
        let mut assembly = Assembly::new(1);
        let value = vec![0; 16 << 20];
        let large = |at| RawEvent::put(b"a", &value, at);
        // The limit is for one revision: those that are complete do not count.
        for at in 1..40 {
            assert_eq!(push(&mut assembly, vec![large(at)], true).len(), usize::from(at > 1));
        }
        assert_eq!(push(&mut assembly, vec![large(39), large(40)], false).len(), 3);
        let refused = (0..40).find_map(|_| assembly.push(vec![large(50)], true).err());
        assert_eq!(refused, Some(OversizedRevision(50)));
    }
}
