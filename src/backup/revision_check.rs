//! Checks stored revisions against the rules of etcd, so that a revision that is missing or was changed is an error.

use super::schema::{RecordView, RevisionKey};
use crate::kvstore::Revision;

/// The rules, and the last revision of a pass.
///
/// Each transaction that changes something gets the next revision, and its changes the numbers 0, 1, 2 and so on
/// (`server/storage/mvcc/kvstore_txn.go` of go.etcd.io/etcd). A compaction leaves gaps only up to its revision, and
/// `etcdutl snapshot restore --bump-revision` one before a revision without a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct RevisionCheck {
    /// Up to this revision there may be gaps; `None` if there may be gaps anywhere.
    sparse_until: Option<Revision>,
    /// The last revision after that one, and its last change.
    last: Option<(Revision, i64)>,
}

impl RevisionCheck {
    /// For a pass from the first revision on. The first revision of a store is 1, which stores nothing.
    pub(super) fn new(compact_revision: Revision) -> Self {
        Self { sparse_until: Some(compact_revision.max(1)), last: None }
    }

    /// For a pass over revisions that need not follow each other.
    pub(super) fn with_gaps() -> Self {
        Self { sparse_until: None, last: None }
    }

    /// Checks the next revision: its key, and its record, which may have no bytes.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn check(&mut self, at: RevisionKey, record: &RecordView<'_>, has_record: bool) -> Result<(), String> {
        let before = self.last;
        self.skip(at);
        // A revision without a record follows any other.
        if self.last != before && (has_record || at.is_tombstone) && !self.follows(at, before) {
            return Err(self.gap(at, before));
        }
        check_record(at, record, has_record)
    }

    /// Goes on after a revision whose damage is known.
    pub(super) fn skip(&mut self, at: RevisionKey) {
        if self.sparse_until.is_some_and(|until| at.main > until) {
            self.last = Some((at.main, at.sub));
        }
    }

    fn follows(&self, at: RevisionKey, before: Option<(Revision, i64)>) -> bool {
        let first_after = |main: Revision| at.sub == 0 && main.checked_add(1) == Some(at.main);
        match before {
            Some((main, sub)) if main == at.main => sub.checked_add(1) == Some(at.sub),
            Some((main, _)) => first_after(main),
            None => self.sparse_until.is_none_or(first_after),
        }
    }

    fn gap(&self, at: RevisionKey, before: Option<(Revision, i64)>) -> String {
        let before = match (before, self.sparse_until) {
            (Some((main, sub)), _) => format!("{main}.{sub}"),
            (None, until) => until.unwrap_or_default().to_string(),
        };
        format!("revisions are missing between {before} and {}.{}", at.main, at.sub)
    }
}

fn check_record(at: RevisionKey, record: &RecordView<'_>, has_record: bool) -> Result<(), String> {
    let RevisionKey { main, sub, is_tombstone } = at;
    let (created, version) = (record.create_revision, record.version);
    if is_tombstone {
        return if record.key.is_empty() {
            Err(format!("the tombstone revision {main}.{sub} has no key"))
        } else {
            Ok(())
        };
    } else if !has_record {
        return Ok(());
    } else if record.key.is_empty() {
        return Err(format!("the record of revision {main}.{sub} has no key"));
    } else if record.mod_revision != main {
        return Err(format!("the record of revision {main}.{sub} says that it is of revision {}", record.mod_revision));
    }
    let is_first = version == 1;
    if created < 1 || created > main || version < 1 || is_first != (created == main) {
        return Err(format!(
            "the record of revision {main}.{sub} has version {version} and creation revision {created}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    /// What is wrong with these revisions, which are written as `MAIN.SUB`; one without a record as `MAIN.SUB!`.
    fn fault(compact_revision: Revision, revisions: &str) -> Option<String> {
        let mut check = RevisionCheck::new(compact_revision);
        let mut one = |text: &str| {
            let (main, sub) = text.trim_end_matches('!').split_once('.').unwrap();
            let at = RevisionKey { main: main.parse().unwrap(), sub: sub.parse().unwrap(), is_tombstone: false };
            let record = RecordView {
                key: b"/a",
                mod_revision: at.main,
                create_revision: at.main,
                version: 1,
                ..RecordView::default()
            };
            check.check(at, &record, !text.ends_with('!')).err()
        };
        revisions.split(' ').find_map(&mut one)
    }

    #[test]
    fn a_missing_revision_is_found_after_the_compaction() {
        for (compacted, whole) in [
            (0, "2.0 2.1 2.2 3.0 4.0 4.1"),
            (9, "3.1 3.4 7.2 9.3 10.0 10.1 11.0"),
            (9, "10.0"),
            (1, "2.0 3.0 1003.4! 1004.0"),
            (1003, "2.0 3.0 1003.4! 1004.0"),
        ] {
            assert_eq!(fault(compacted, whole), None, "{whole}");
        }
        for (compacted, holed, wanted) in [
            (0, "3.0", "1 and 3.0"),
            (0, "2.1", "1 and 2.1"),
            (0, "2.0 3.0 5.0", "3.0 and 5.0"),
            (0, "2.0 3.0 4.1", "3.0 and 4.1"),
            (0, "2.0 3.0 3.2", "3.0 and 3.2"),
            (9, "3.0 11.0", "9 and 11.0"),
            (1, "2.0 3.0 1003.4! 1005.0", "1003.4 and 1005.0"),
            (1, "2.0 9223372036854775807.0 9223372036854775807.9", "2.0 and 9223372036854775807.0"),
        ] {
            let found = fault(compacted, holed);
            assert_eq!(found, Some(format!("revisions are missing between {wanted}")), "{holed}");
        }
    }

    #[test]
    fn a_record_belongs_to_its_revision() {
        let good = RecordView { key: b"/a", mod_revision: 9, create_revision: 2, version: 3, ..RecordView::default() };
        let check = |record: &RecordView<'_>, is_tombstone| {
            check_record(RevisionKey { main: 9, sub: 0, is_tombstone }, record, true)
        };
        assert_eq!(check(&good, false), Ok(()));
        assert_eq!(check(&RecordView { key: b"/a", ..RecordView::default() }, true), Ok(()));
        assert!(check(&RecordView::default(), true).is_err());
        for bad in [
            RecordView { key: b"", ..good },
            RecordView { mod_revision: 8, ..good },
            RecordView { create_revision: 10, ..good },
            RecordView { create_revision: 0, ..good },
            RecordView { create_revision: 9, ..good },
            RecordView { version: 1, ..good },
            RecordView { version: 0, ..good },
        ] {
            assert!(check(&bad, false).is_err(), "{bad:?}");
        }
    }
}
