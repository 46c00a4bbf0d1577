//! All keys of an allocator at one revision, parsed into masters and references.

use std::collections::HashMap;

use super::{Id, Layout};
use crate::kvstore::{Error, KeyRange, KeyValue, LeaseId, ReadOptions, Revision, Store};

/// The index of a key in [`AllocatorScan::keys`].
pub type KeyIndex = u32;

/// Interned byte strings.
#[derive(Clone, Debug, Default)]
pub struct StringTable {
    texts: Vec<Vec<u8>>,
    indexes: HashMap<Vec<u8>, u32>,
}

impl StringTable {
    fn index(&mut self, text: &[u8]) -> u32 {
        if let Some(index) = self.indexes.get(text) {
            return *index;
        }
        let index = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_vec());
        self.indexes.insert(text.to_vec(), index);
        index
    }

    /// The string with this index.
    pub fn text(&self, index: u32) -> &[u8] {
        self.texts.get(index as usize).map_or(&[], Vec::as_slice)
    }

    /// The index of a string, if it is interned.
    pub fn find(&self, text: &[u8]) -> Option<u32> {
        self.indexes.get(text).copied()
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// `<base>/id/<ID>`: assigns an ID to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterKey {
    /// The ID.
    pub id: Id,
    /// The key, verbatim from the value; empty if the master holds no key.
    pub key: KeyIndex,
    /// The last part of the path if it is not the ID's canonical decimal (for example "007").
    pub odd_path: Option<Vec<u8>>,
    /// Revision of its last change.
    pub mod_revision: Revision,
    /// Its lease; Cilium's masters have none.
    pub lease: Option<LeaseId>,
}

/// `<base>/value/<key>/<node>`: records that a node uses a key's ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceKey {
    /// The key.
    pub key: KeyIndex,
    /// Index of the node's name in [`AllocatorScan::nodes`].
    pub node: u32,
    /// The ID it names; `None` if its value is not an ID.
    pub id: Option<Id>,
    /// Revision of its last change.
    pub mod_revision: Revision,
    /// Its lease; `None` for a permanent one.
    pub lease: Option<LeaseId>,
}

/// Why an etcd key below the base is neither a master nor a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownKeyReason {
    /// It is below `id/`, but its last part is not an ID.
    MasterPath,
    /// It is below `value/`, but has no key or no node.
    ReferencePath,
}

/// All keys below `id/` and `value/` of a base.
#[derive(Clone, Debug, Default)]
pub struct AllocatorScan {
    /// The revision at which they were read.
    pub revision: Revision,
    /// All masters, by ID.
    pub masters: Vec<MasterKey>,
    /// All references, by key and node.
    pub references: Vec<ReferenceKey>,
    /// The keys of all masters and references.
    pub keys: StringTable,
    /// The names of all nodes.
    pub nodes: StringTable,
    /// Paths of other keys, and why they are neither masters nor references.
    pub unknown_keys: Vec<(Vec<u8>, UnknownKeyReason)>,
}

impl AllocatorScan {
    /// Adds an etcd key from below `id/`.
    pub fn add_master(&mut self, layout: &Layout, kv: &KeyValue) {
        let Some(id) = layout.parse_master(&kv.key) else {
            return self.unknown_keys.push((kv.key.clone(), UnknownKeyReason::MasterPath));
        };
        let odd = kv.key != layout.master(id);
        let last = kv.key.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        self.masters.push(MasterKey {
            id,
            key: self.keys.index(&kv.value),
            odd_path: odd.then(|| last.to_vec()),
            mod_revision: kv.mod_revision,
            lease: kv.lease,
        });
    }

    /// Adds an etcd key from below `value/`.
    pub fn add_reference(&mut self, layout: &Layout, kv: &KeyValue) {
        let Some((key, node)) = layout.parse_reference(&kv.key) else {
            return self.unknown_keys.push((kv.key.clone(), UnknownKeyReason::ReferencePath));
        };
        self.references.push(ReferenceKey {
            key: self.keys.index(key),
            node: self.nodes.index(node),
            id: Id::parse(&kv.value),
            mod_revision: kv.mod_revision,
            lease: kv.lease,
        });
    }

    /// Sorts masters and references, after all have been added.
    pub fn sort(&mut self) {
        self.masters.sort_by(|one, other| (one.id, &one.odd_path).cmp(&(other.id, &other.odd_path)));
        self.references.sort_by_key(|reference| (reference.key, reference.node));
    }

    /// The references of exactly this key, not of longer keys.
    pub fn references_of(&self, key: KeyIndex) -> &[ReferenceKey] {
        let first = self.references.partition_point(|reference| reference.key < key);
        let behind = self.references.partition_point(|reference| reference.key <= key);
        &self.references[first..behind]
    }

    /// The references that keep a master: those of its key that name its ID. An unreadable reference keeps every master
    /// of its key, because it is unknown which one it means.
    pub fn users<'a>(&'a self, master: &MasterKey) -> impl Iterator<Item = &'a ReferenceKey> {
        let id = master.id;
        self.references_of(master.key).iter().filter(move |reference| reference.id.is_none_or(|named| named == id))
    }

    /// The masters of an ID; several only if there are paths such as `id/007`.
    pub fn masters_of(&self, id: Id) -> &[MasterKey] {
        let first = self.masters.partition_point(|master| master.id < id);
        let behind = self.masters.partition_point(|master| master.id <= id);
        &self.masters[first..behind]
    }

    /// Number of masters of each key, by the key's index.
    pub fn masters_per_key(&self) -> Vec<u32> {
        let mut counts = vec![0; self.keys.len()];
        for master in &self.masters {
            counts[master.key as usize] += 1;
        }
        counts
    }
}

/// Reads all keys below the base at one revision, into memory. `read` receives the number of keys of each page.
///
/// # Errors
/// etcd is unreachable or rejects a request, or the revision was compacted meanwhile.
pub async fn scan(store: &Store, layout: &Layout, mut read: impl FnMut(u64)) -> Result<AllocatorScan, Error> {
    let mut scan = AllocatorScan::default();
    scan.revision = for_each_key(store, &layout.masters(), 0, |kv| scan.add_master(layout, kv), &mut read).await?;
    let at = scan.revision;
    for_each_key(store, &layout.references(), at, |kv| scan.add_reference(layout, kv), &mut read).await?;
    scan.sort();
    Ok(scan)
}

/// Calls `take` for every key of the range at this revision (0: the current one). Returns the revision.
pub(super) async fn for_each_key(
    store: &Store,
    range: &KeyRange,
    revision: Revision,
    mut take: impl FnMut(&KeyValue),
    read: &mut impl FnMut(u64),
) -> Result<Revision, Error> {
    let mut reader = store.read(range, ReadOptions { revision, ..ReadOptions::default() });
    while let Some(page) = reader.next().await? {
        page.iter().for_each(&mut take);
        read(page.len() as u64);
    }
    Ok(reader.revision())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn scanned(pairs: &[(&str, &str)]) -> AllocatorScan {
        let layout = Layout::new(b"b").unwrap();
        let mut scan = AllocatorScan::default();
        for (path, value) in pairs {
            let kv = KeyValue { key: (*path).into(), value: (*value).into(), ..KeyValue::default() };
            if path.starts_with("b/id/") {
                scan.add_master(&layout, &kv);
            } else {
                scan.add_reference(&layout, &kv);
            }
        }
        scan.sort();
        scan
    }

    fn users(scan: &AllocatorScan, id: u64) -> Vec<String> {
        let master = &scan.masters_of(Id::new(id).unwrap())[0];
        let name = |reference: &ReferenceKey| String::from_utf8_lossy(scan.nodes.text(reference.node)).into_owned();
        scan.users(master).map(name).collect()
    }

    #[test]
    fn only_a_key_s_own_references_keep_its_master() {
        let scan = scanned(&[
            ("b/id/7", "foo"),
            ("b/id/8", "foo/bar"),
            ("b/value/foo/bar/n1", "8"),
            ("b/value/foo/n2", "7"),
            ("b/value/foo/bar", "7"),
        ]);
        assert_eq!(users(&scan, 7), ["n2", "bar"]);
        assert_eq!(users(&scan, 8), ["n1"]);
    }

    #[test]
    fn a_reference_to_another_id_keeps_no_master_and_an_unreadable_one_keeps_all() {
        let scan =
            scanned(&[("b/id/7", "a"), ("b/id/9", "a"), ("b/value/a/n1", "9"), ("b/id/5", "b"), ("b/value/b/n2", "x")]);
        assert_eq!(users(&scan, 7), [""; 0]);
        assert_eq!(users(&scan, 9), ["n1"]);
        assert_eq!(users(&scan, 5), ["n2"]);
        assert_eq!(scan.masters_per_key()[scan.keys.find(b"a").unwrap() as usize], 2);
    }

    #[test]
    fn hostile_content_is_told_apart() {
        let scan = scanned(&[
            ("b/id/invalid", "x"),
            ("b/id/", "x"),
            ("b/id/0", "x"),
            ("b/id/007", ""),
            ("b/value/x", "1"),
            ("b/value//n", "1"),
        ]);
        assert_eq!(scan.unknown_keys.len(), 5);
        assert_eq!(scan.masters.len(), 1);
        assert_eq!(scan.masters[0].odd_path.as_deref(), Some(b"007".as_slice()));
        assert_eq!(scan.keys.text(scan.masters[0].key), b"");
    }
}
