//! Whole revisions out of answers that may come in pieces.

use etcd_client::proto::PbEvent;

use crate::kvstore::types::Revision;

/// The place of a watch: what is told once is not told again, and a revision is told whole or not at all.
pub(crate) struct Assembly {
    next: Revision,
    /// The events of the last revision, which may go on in the next piece.
    held: Vec<PbEvent>,
}

impl Assembly {
    /// Tells from this revision on.
    pub(crate) fn new(next: Revision) -> Self {
        Self { next, held: Vec::new() }
    }

    /// The first revision that has not been told whole.
    pub(crate) fn next(&self) -> Revision {
        self.next
    }

    /// Takes one answer, `more` where it goes on in another piece; gives the events of whole revisions. What was told
    /// already is left out: a member that lags behind the others may send it again.
    pub(crate) fn take(&mut self, events: Vec<PbEvent>, more: bool) -> Vec<PbEvent> {
        let next = self.next;
        self.held.extend(events.into_iter().filter(|event| revision(event) >= next));
        let Some(last) = self.held.last().map(revision) else { return Vec::new() };
        let cut = if more {
            self.next = self.next.max(last);
            self.held.iter().position(|event| revision(event) == last).unwrap_or(0)
        } else {
            self.next = last + 1;
            self.held.len()
        };
        let rest = self.held.split_off(cut);
        std::mem::replace(&mut self.held, rest)
    }

    /// All events up to this revision have been sent; whether that moved the place.
    pub(crate) fn progress(&mut self, revision: Revision) -> bool {
        let moved = self.held.is_empty() && revision >= self.next;
        if moved {
            self.next = revision + 1;
        }
        moved
    }

    /// The stream is gone: the last revision's pieces come again from the beginning.
    pub(crate) fn forget(&mut self) {
        self.held.clear();
    }
}

/// The revision of the change.
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

    fn told(events: &[PbEvent]) -> Vec<(Revision, String)> {
        let name = |event: &PbEvent| event.kv.as_ref().map(|kv| String::from_utf8_lossy(&kv.key).into_owned());
        events.iter().map(|event| (revision(event), name(event).unwrap_or_default())).collect()
    }

    #[test]
    fn a_revision_in_pieces_is_told_whole() {
        let mut place = Assembly::new(5);
        assert_eq!(told(&place.take(vec![event(5, "a"), event(6, "b")], true)), [(5, "a".to_owned())]);
        assert_eq!(place.next(), 6);
        assert_eq!(told(&place.take(vec![event(6, "c")], true)), []);
        assert!(!place.progress(9));
        assert_eq!(
            told(&place.take(vec![event(6, "d"), event(7, "e")], false)),
            [(6, "b".into()), (6, "c".into()), (6, "d".into()), (7, "e".into())]
        );
        assert_eq!(place.next(), 8);
    }

    #[test]
    fn a_cut_between_two_pieces_repeats_the_revision_and_nothing_else() {
        let mut place = Assembly::new(1);
        assert_eq!(place.take(vec![event(1, "a"), event(2, "b")], true).len(), 1);
        place.forget();
        assert_eq!(place.next(), 2);
        assert_eq!(told(&place.take(vec![event(2, "b"), event(2, "c")], false)), [(2, "b".into()), (2, "c".into())]);
    }

    #[test]
    fn what_a_lagging_member_sends_again_is_dropped_and_the_place_never_goes_back() {
        let mut place = Assembly::new(10);
        assert!(place.take(vec![event(8, "a"), event(9, "b")], false).is_empty());
        assert_eq!(place.next(), 10);
        assert!(!place.progress(4) && !place.progress(9) && place.progress(10));
        assert_eq!(place.next(), 11);
    }
}
