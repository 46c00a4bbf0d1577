//! IDs with their keys, references and states. Pure.

use std::collections::BTreeMap;

use super::{AllocatorScan, Id, KeyIndex, ReferenceKey};

/// State of an ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdState {
    /// Nodes refer to it.
    InUse,
    /// No node refers to it.
    Unused,
    /// Its master is on a lease and no node refers to it: the copy of another cluster's ID.
    Leased,
    /// Its key also has another ID, and that one is in effect.
    Duplicate,
    /// Nodes refer to it, but no master assigns it to their key.
    Orphan,
}

impl IdState {
    /// Name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::InUse => "in-use",
            Self::Unused => "unused",
            Self::Leased => "leased",
            Self::Duplicate => "duplicate",
            Self::Orphan => "orphan",
        }
    }
}

/// One ID of one key.
#[derive(Clone, Debug)]
pub struct IdEntry<'a> {
    /// The ID.
    pub id: Id,
    /// The key, in [`AllocatorScan::keys`].
    pub key: KeyIndex,
    /// State of the ID.
    pub state: IdState,
    /// The references that keep its master; for an orphan, those that name the ID.
    pub references: Vec<&'a ReferenceKey>,
    /// Index of its master in [`AllocatorScan::masters`]; `None` for an orphan.
    pub master: Option<usize>,
}

/// All IDs in ascending order: one entry per master, and one per ID and key that references name without a master.
///
/// Of several masters of one key, the smallest that a reference names is in effect, else the smallest without a lease,
/// else the smallest.
pub fn entries(scan: &AllocatorScan) -> Vec<IdEntry<'_>> {
    let effective = effective_masters(scan);
    let mut entries: Vec<IdEntry<'_>> = Vec::with_capacity(scan.masters.len());
    for (index, master) in scan.masters.iter().enumerate() {
        let references: Vec<&ReferenceKey> = scan.users(master).collect();
        let state = match effective[master.key as usize] {
            _ if references.is_empty() && master.lease.is_some() => IdState::Leased,
            Some((effective, _)) if effective != index => IdState::Duplicate,
            _ if references.is_empty() => IdState::Unused,
            _ => IdState::InUse,
        };
        entries.push(IdEntry { id: master.id, key: master.key, state, references, master: Some(index) });
    }
    for ((id, key), references) in orphans(scan) {
        entries.push(IdEntry { id, key, state: IdState::Orphan, references, master: None });
    }
    entries.sort_by_key(|entry| (entry.id, entry.state == IdState::Orphan));
    entries
}

/// How strongly a master claims its key: it is on a lease, it is permanent, or a reference names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Leased,
    Permanent,
    Named,
}

/// For each key, the index of the master in effect and its claim.
fn effective_masters(scan: &AllocatorScan) -> Vec<Option<(usize, Claim)>> {
    let mut effective_masters: Vec<Option<(usize, Claim)>> = vec![None; scan.keys.len()];
    for (index, master) in scan.masters.iter().enumerate() {
        let of_key = &mut effective_masters[master.key as usize];
        if matches!(of_key, Some((_, Claim::Named))) {
            continue;
        }
        let named = scan.references_of(master.key).iter().any(|reference| reference.id == Some(master.id));
        let claim = match master.lease {
            _ if named => Claim::Named,
            None => Claim::Permanent,
            Some(_) => Claim::Leased,
        };
        if of_key.is_none_or(|(_, before)| claim > before) {
            *of_key = Some((index, claim));
        }
    }
    effective_masters
}

fn orphans(scan: &AllocatorScan) -> BTreeMap<(Id, KeyIndex), Vec<&ReferenceKey>> {
    let mut orphans: BTreeMap<_, Vec<&ReferenceKey>> = BTreeMap::new();
    for reference in &scan.references {
        if let Some(id) = reference.id
            && !scan.masters_of(id).iter().any(|master| master.key == reference.key)
        {
            orphans.entry((id, reference.key)).or_default().push(reference);
        }
    }
    orphans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocator::testing::scanned;

    fn shown(pairs: &[(&str, &str)]) -> Vec<String> {
        let scan = scanned(pairs);
        let show = |entry: &IdEntry<'_>| {
            let key = String::from_utf8_lossy(scan.keys.text(entry.key)).into_owned();
            format!("{} {key} {} {}", entry.id, entry.references.len(), entry.state.name())
        };
        entries(&scan).iter().map(show).collect()
    }

    #[test]
    fn ids_are_in_numeric_order_with_their_state() {
        let shown = shown(&[
            ("b/id/10", "ten"),
            ("b/id/9", "nine"),
            ("b/value/ten/n1", "10"),
            ("b/value/ten/n2", "10"),
            ("b/value/lost/n1", "100"),
            ("b/value/wrong/n1", "9"),
        ]);
        assert_eq!(shown, ["9 nine 0 unused", "9 wrong 1 orphan", "10 ten 2 in-use", "100 lost 1 orphan"]);
    }

    #[test]
    fn the_master_that_a_reference_names_counts_then_the_smallest() {
        let masters = [("b/id/5", "a"), ("b/id/7", "a"), ("b/id/8", "a")];
        assert_eq!(shown(&masters), ["5 a 0 unused", "7 a 0 duplicate", "8 a 0 duplicate"]);
        let used = [masters.as_slice(), &[("b/value/a/n", "7"), ("b/value/a/m", "8")]].concat();
        assert_eq!(shown(&used), ["5 a 0 duplicate", "7 a 1 in-use", "8 a 1 duplicate"]);
        // A reference that cannot be read keeps all of them, and names none.
        let unreadable = [masters.as_slice(), &[("b/value/a/n", "?")]].concat();
        assert_eq!(shown(&unreadable), ["5 a 1 in-use", "7 a 1 duplicate", "8 a 1 duplicate"]);
    }

    #[test]
    fn a_longer_key_s_references_are_not_a_key_s() {
        let shown = shown(&[("b/id/5", "foo"), ("b/id/6", "foo/bar"), ("b/value/foo/bar/n", "6")]);
        assert_eq!(shown, ["5 foo 0 unused", "6 foo/bar 1 in-use"]);
    }
}
