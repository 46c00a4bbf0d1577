//! Assembles whole revisions from responses that etcd may fragment.

use etcd_client::proto::PbEvent;

use crate::kvstore::types::Revision;

/// The position of a watch: each revision is returned once and as a whole.
pub(crate) struct Assembly {
    next: Revision,
    /// The events of the last revision, which the next fragment may continue.
    partial: Vec<PbEvent>,
}

impl Assembly {
    /// Starts at this revision.
    pub(crate) fn new(next: Revision) -> Self {
        Self { next, partial: Vec::new() }
    }

    /// The first revision that was not returned yet.
    pub(crate) fn next(&self) -> Revision {
        self.next
    }

    /// Adds one response, continued by another one if `more`, and returns the events of whole revisions. Events before
    /// the position are dropped: a lagging member may send them again.
    pub(crate) fn push(&mut self, events: Vec<PbEvent>, more: bool) -> Vec<PbEvent> {
        let next = self.next;
        self.partial.extend(events.into_iter().filter(|event| revision(event) >= next));
        let Some(last) = self.partial.last().map(revision) else { return Vec::new() };
        let cut = if more {
            self.next = self.next.max(last);
            self.partial.iter().position(|event| revision(event) == last).unwrap_or(0)
        } else {
            self.next = last + 1;
            self.partial.len()
        };
        let rest = self.partial.split_off(cut);
        std::mem::replace(&mut self.partial, rest)
    }

    /// Records that all events up to this revision were sent. Returns whether the position moved.
    pub(crate) fn progress(&mut self, revision: Revision) -> bool {
        let moved = self.partial.is_empty() && revision >= self.next;
        if moved {
            self.next = revision + 1;
        }
        moved
    }

    /// Drops the fragments of an incomplete revision: a new stream sends that revision from its start.
    pub(crate) fn discard_partial(&mut self) {
        self.partial.clear();
    }
}

/// The revision of an event.
pub(crate) fn revision(event: &PbEvent) -> Revision {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etcd_client::proto::PbKeyValue;

    fn event(revision: Revision, key: &str) -> PbEvent {
        let kv = PbKeyValue { key: key.into(), mod_revision: revision, ..PbKeyValue::default() };
        PbEvent { kv: Some(kv), ..PbEvent::default() }
    }

    fn summary(events: &[PbEvent]) -> Vec<(Revision, String)> {
        let name = |event: &PbEvent| event.kv.as_ref().map(|kv| String::from_utf8_lossy(&kv.key).into_owned());
        events.iter().map(|event| (revision(event), name(event).unwrap_or_default())).collect()
    }

    #[test]
    fn a_fragmented_revision_is_returned_whole() {
        let mut assembly = Assembly::new(5);
        assert_eq!(summary(&assembly.push(vec![event(5, "a"), event(6, "b")], true)), [(5, "a".to_owned())]);
        assert_eq!(assembly.next(), 6);
        assert_eq!(summary(&assembly.push(vec![event(6, "c")], true)), []);
        assert!(!assembly.progress(9));
        assert_eq!(
            summary(&assembly.push(vec![event(6, "d"), event(7, "e")], false)),
            [(6, "b".into()), (6, "c".into()), (6, "d".into()), (7, "e".into())]
        );
        assert_eq!(assembly.next(), 8);
    }

    #[test]
    fn a_cut_between_two_pieces_repeats_the_revision_and_nothing_else() {
        let mut assembly = Assembly::new(1);
        assert_eq!(assembly.push(vec![event(1, "a"), event(2, "b")], true).len(), 1);
        assembly.discard_partial();
        assert_eq!(assembly.next(), 2);
        assert_eq!(
            summary(&assembly.push(vec![event(2, "b"), event(2, "c")], false)),
            [(2, "b".into()), (2, "c".into())]
        );
    }

    #[test]
    fn what_a_lagging_member_sends_again_is_dropped_and_the_position_never_decreases() {
        let mut assembly = Assembly::new(10);
        assert!(assembly.push(vec![event(8, "a"), event(9, "b")], false).is_empty());
        assert_eq!(assembly.next(), 10);
        assert!(!assembly.progress(4) && !assembly.progress(9) && assembly.progress(10));
        assert_eq!(assembly.next(), 11);
    }
}
