//! Paths of an allocator's keys. Pure.
//!
//! Wire format: `pkg/allocator` and `pkg/kvstore/allocator` of Cilium. Below the base, `id/<ID>` holds the key's bytes
//! (the *master*), `value/<key>/<node>` holds the ID in decimal (a *reference*, on a lease of the node), and
//! `locks/<key>` and `locks/id/<ID>` are the names of etcd mutexes.

use std::fmt;
use std::num::NonZeroU64;

use thiserror::Error;

use crate::kvstore::KeyRange;

/// Base of Cilium's security identities.
pub const DEFAULT_BASE: &str = "cilium/state/identities/v1";

/// An ID, never 0. Its text form is decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub NonZeroU64);

impl Id {
    /// `None` for 0, which means "no ID".
    pub fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// Parses what Go's `strconv.ParseUint(text, 10, 64)` accepts, except 0: digits only, leading zeros allowed.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(text).ok()?.parse().ok().and_then(Self::new)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a base, a key or a node name is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It begins with a slash, which path cleaning removes.
    #[error("begins with '/', which Cilium's path cleaning would drop")]
    Leading,
    /// It ends with a slash, which path cleaning removes.
    #[error("ends with '/', which Cilium's path cleaning would drop")]
    Trailing,
    /// It contains two slashes in a row, of which path cleaning removes one.
    #[error("contains '//', which Cilium's path cleaning would change to '/'")]
    Double,
    /// It contains a dot segment, which path cleaning resolves.
    #[error("contains the segment '.' or '..', which Cilium's path cleaning would resolve")]
    Dots,
    /// A node name contains a slash: its references would look like another key's.
    #[error("contains '/', which would make its references look like another key's")]
    Slash,
}

/// Checks that Go's `path.Join` and Cilium's `JoinKey` both leave a part of a path unchanged.
fn check_path(path: &[u8]) -> Result<(), NameError> {
    if path.is_empty() {
        return Err(NameError::Empty);
    }
    if path.ends_with(b"/") {
        return Err(NameError::Trailing);
    }
    for (at, part) in path.split(|byte| *byte == b'/').enumerate() {
        match part {
            b"" if at == 0 => return Err(NameError::Leading),
            b"" => return Err(NameError::Double),
            b"." | b".." => return Err(NameError::Dots),
            _ => {}
        }
    }
    Ok(())
}

/// Checks a key. Keys that path cleaning would alter are refused, because two keys could become one.
///
/// # Errors
/// How path cleaning would alter the key.
pub fn check_key(key: &[u8]) -> Result<(), NameError> {
    check_path(key)
}

/// Checks a node name.
///
/// # Errors
/// Why the name is not valid.
pub fn check_node(node: &[u8]) -> Result<(), NameError> {
    if node.contains(&b'/') {
        return Err(NameError::Slash);
    }
    check_path(node)
}

/// Paths below one base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    base: Vec<u8>,
}

impl Layout {
    /// The paths below a base. A trailing slash is removed; a leading slash is part of the base.
    ///
    /// # Errors
    /// Path cleaning would alter the base.
    pub fn new(base: &[u8]) -> Result<Self, NameError> {
        let base = base.strip_suffix(b"/").unwrap_or(base);
        check_path(base.strip_prefix(b"/").unwrap_or(base))?;
        Ok(Self { base: base.to_vec() })
    }

    /// Where Cilium's kvstoremesh keeps copies of this base from other clusters, one base per cluster: the base with
    /// the segment `cache` in place of the first segment `state`. `None` if the base has no such segment.
    pub fn copies(&self) -> Option<KeyRange> {
        let mut parts: Vec<&[u8]> = self.base.split(|byte| *byte == b'/').collect();
        *parts.iter_mut().find(|part| **part == b"state")? = b"cache";
        parts.push(b"");
        Some(KeyRange::prefix(&parts.join(&b'/')))
    }

    /// The base, without a trailing slash.
    pub fn base(&self) -> &[u8] {
        &self.base
    }

    /// All keys below the base.
    pub fn range(&self) -> KeyRange {
        KeyRange::prefix(&[self.base.as_slice(), b"/"].concat())
    }

    fn path(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut path = self.base.clone();
        for part in parts {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        path
    }

    fn directory(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut path = self.path(parts);
        path.push(b'/');
        path
    }

    /// All masters.
    pub fn masters(&self) -> KeyRange {
        KeyRange::prefix(&self.directory(&[b"id"]))
    }

    /// The keys before and after [`Layout::masters`] that have the prefix `<base>/id`.
    pub fn around_masters(&self) -> [KeyRange; 2] {
        let (all, masters) = (KeyRange::prefix(&self.path(&[b"id"])), self.masters());
        let before = KeyRange { end: Some(masters.start), ..all.clone() };
        let after = KeyRange { start: masters.end.unwrap_or_default(), ..all };
        [before, after]
    }

    /// The text behind `<base>/id` of a path with that prefix.
    pub fn behind_id<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        path.strip_prefix(self.path(&[b"id"]).as_slice())
    }

    /// All references.
    pub fn references(&self) -> KeyRange {
        KeyRange::prefix(&self.directory(&[b"value"]))
    }

    /// All locks.
    pub fn locks(&self) -> KeyRange {
        KeyRange::prefix(&self.directory(&[b"locks"]))
    }

    /// The master of an ID.
    pub fn master(&self, id: Id) -> Vec<u8> {
        self.path(&[b"id", id.to_string().as_bytes()])
    }

    /// The path of a master as it was found; `odd` is its last part if that is not the ID's canonical decimal.
    pub fn master_at(&self, id: Id, odd: Option<&[u8]>) -> Vec<u8> {
        odd.map_or_else(|| self.master(id), |last| self.path(&[b"id", last]))
    }

    /// A range that contains a key's references, and perhaps references of longer keys: see
    /// [`Layout::parse_reference`].
    pub fn references_of(&self, key: &[u8]) -> KeyRange {
        KeyRange::prefix(&self.directory(&[b"value", key]))
    }

    /// A node's reference.
    pub fn reference(&self, key: &[u8], node: &[u8]) -> Vec<u8> {
        self.path(&[b"value", key, node])
    }

    /// Name of the lock under which a key is allocated.
    pub fn key_lock(&self, key: &[u8]) -> Vec<u8> {
        self.path(&[b"locks", key])
    }

    /// Name of the lock under which Cilium deletes an ID.
    pub fn id_lock(&self, id: Id) -> Vec<u8> {
        self.path(&[b"locks", b"id", id.to_string().as_bytes()])
    }

    /// The ID of the master with this path; `None` if the path is not a master's or the ID is not valid.
    pub fn parse_master(&self, path: &[u8]) -> Option<Id> {
        Id::parse(path.strip_prefix(self.directory(&[b"id"]).as_slice())?)
    }

    /// The key and the node of a reference. The node follows the last slash, which distinguishes references of `foo`
    /// from those of `foo/bar`.
    pub fn parse_reference<'a>(&self, path: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let rest = path.strip_prefix(self.directory(&[b"value"]).as_slice())?;
        let at = rest.iter().rposition(|byte| *byte == b'/')?;
        let (key, node) = (&rest[..at], &rest[at + 1..]);
        (!key.is_empty() && !node.is_empty()).then_some((key, node))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn layout() -> Layout {
        Layout::new(DEFAULT_BASE.as_bytes()).unwrap()
    }

    fn id(id: u64) -> Id {
        Id::new(id).unwrap()
    }

    #[test]
    fn the_paths_are_cilium_s() {
        let key = b"k8s:app=web;k8s:io.kubernetes.pod.namespace=default;";
        let text = |path: Vec<u8>| String::from_utf8(path).unwrap();
        assert_eq!(text(layout().master(id(379))), "cilium/state/identities/v1/id/379");
        assert_eq!(
            text(layout().reference(key, b"10.0.0.1")),
            "cilium/state/identities/v1/value/k8s:app=web;k8s:io.kubernetes.pod.namespace=default;/10.0.0.1"
        );
        assert_eq!(text(layout().key_lock(b"k8s:app=web;")), "cilium/state/identities/v1/locks/k8s:app=web;");
        assert_eq!(text(layout().id_lock(id(379))), "cilium/state/identities/v1/locks/id/379");
    }

    #[test]
    fn ids_are_what_go_parses_but_zero() {
        for (text, number) in [("10", Some(10)), ("007", Some(7)), ("18446744073709551615", Some(u64::MAX))] {
            assert_eq!(Id::parse(text.as_bytes()).map(Id::get), number, "{text}");
        }
        for text in ["", "0", "000", "+1", "-1", " 1", "1 ", "0x10", "1_0", "18446744073709551616", "\u{663}"] {
            assert_eq!(Id::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn masters_are_parsed_strictly() {
        let parsed = |path: &str| layout().parse_master(path.as_bytes()).map(Id::get);
        assert_eq!(parsed("cilium/state/identities/v1/id/10"), Some(10));
        for path in [
            "id/10",
            "cilium/state/identities/v1/id",
            "cilium/state/identities/v1/id/",
            "cilium/state/identities/v1/id/invalid",
        ] {
            assert_eq!(parsed(path), None, "{path}");
        }
        assert_eq!(parsed("cilium/state/identities/v1/idx/10"), None);
        assert_eq!(parsed("cilium/state/identities/v1/id/10/20"), None);
    }

    #[test]
    fn the_last_slash_decides_whose_reference_it_is() {
        let of = |rest: &str| {
            let path = format!("{DEFAULT_BASE}/value/{rest}");
            layout().parse_reference(path.as_bytes()).map(|(key, node)| {
                (String::from_utf8_lossy(key).into_owned(), String::from_utf8_lossy(node).into_owned())
            })
        };
        let is = |key: &str, node: &str| Some((key.to_owned(), node.to_owned()));
        assert_eq!(of("foo/bar"), is("foo", "bar"));
        assert_eq!(of("foo/;bar;baz;/;a;/alice"), is("foo/;bar;baz;/;a;", "alice"));
        assert_eq!(of("foo"), None);
        assert_eq!(of("foo/"), None);
        assert_eq!(of("/foo"), None);
    }

    #[test]
    fn names_that_path_cleaning_alters_are_refused() {
        use NameError::{Dots, Double, Empty, Leading, Trailing};
        for (key, error) in [
            ("", Empty),
            ("/lead;", Leading),
            ("trail/", Trailing),
            ("a//b;", Double),
            ("./x;", Dots),
            ("a/../b;", Dots),
            ("a/.", Dots),
            ("..", Dots),
            ("/", Trailing),
        ] {
            assert_eq!(check_key(key.as_bytes()), Err(error), "{key}");
        }
        for key in ["..;", "a/b", "...", "k8s:app=web;", "foo;/;bar;0000000000", ".a/b."] {
            assert_eq!(check_key(key.as_bytes()), Ok(()), "{key}");
        }
        assert_eq!(check_node(b"a/b"), Err(NameError::Slash));
        assert_eq!(check_node(b".."), Err(Dots));
        assert_eq!(check_node(b"10.0.0.1"), Ok(()));
        assert_eq!(Layout::new(b"/team/ids/").unwrap().base(), b"/team/ids");
        assert!(Layout::new(b"/").is_err());
        assert!(Layout::new(b"").is_err());
        assert!(Layout::new(b"a//b").is_err());
    }

    /// Go's `path.Clean` as documented; an empty result is not a key.
    fn go_clean(path: &[u8]) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." if parts.last().is_some_and(|last| *last != b"..") => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        parts.join(&b'/')
    }

    fn near_path() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), Just(b'a'), Just(b';'), any::<u8>()], 0..10)
    }

    /// Parts of any bytes but slashes.
    fn near_key(parts: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        let part = proptest::collection::vec(any::<u8>().prop_map(|byte| if byte == b'/' { b'.' } else { byte }), 1..4);
        let key = proptest::collection::vec(part, parts).prop_map(|parts| parts.join(&b'/'));
        key.prop_filter("path cleaning", |key| check_key(key).is_ok())
    }

    proptest! {
        /// A key is allowed exactly where path cleaning leaves it alone, and does not climb.
        #[test]
        fn a_key_is_what_path_cleaning_leaves(key in near_path()) {
            let climbs = key.split(|byte| *byte == b'/').any(|part| part == b"..");
            prop_assert_eq!(check_key(&key).is_ok(), !key.is_empty() && !climbs && go_clean(&key) == key);
            prop_assert_eq!(check_node(&key).is_ok(), check_key(&key).is_ok() && !key.contains(&b'/'));
        }

        #[test]
        fn any_key_of_bytes_reads_back(base in near_key(1..3), key in near_key(1..4), node in near_key(1..2), number in 1..=u64::MAX) {
            let layout = Layout::new(&base).unwrap();
            let path = layout.reference(&key, &node);
            prop_assert_eq!(layout.parse_reference(&path), Some((key.as_slice(), node.as_slice())));
            prop_assert_eq!(layout.parse_master(&path), None);
            let master = layout.master(id(number));
            prop_assert_eq!(layout.parse_master(&master), Some(id(number)));
            prop_assert_eq!(layout.parse_reference(&master), None);
            prop_assert!(layout.masters().contains(&master) && !layout.masters().contains(&path));
        }

        /// Whatever lies below the base: what is taken for a reference is the one that it says.
        #[test]
        fn a_damaged_path_is_nothing_or_itself(damage in crate::fuzzing::damage(), master in any::<bool>()) {
            let rest = if master { "id/379" } else { "value/k8s:app=web;/10.0.0.1" };
            let path = crate::fuzzing::damaged(format!("{DEFAULT_BASE}/{rest}").as_bytes(), &damage);
            if let Some((key, node)) = layout().parse_reference(&path) {
                prop_assert_eq!(layout().reference(key, node), path.clone());
            }
            if let Some(id) = layout().parse_master(&path) {
                let last = path.rsplit(|byte| *byte == b'/').next();
                prop_assert_eq!(layout().master_at(id, last), path.clone());
                prop_assert!(last.is_some_and(|last| last.iter().all(u8::is_ascii_digit)));
            }
        }

        #[test]
        fn a_reference_reads_back(key in "[a-c/.;]{1,8}", node in "[a-c.]{1,4}") {
            prop_assume!(check_key(key.as_bytes()).is_ok() && check_node(node.as_bytes()).is_ok());
            let path = layout().reference(key.as_bytes(), node.as_bytes());
            prop_assert_eq!(layout().parse_reference(&path), Some((key.as_bytes(), node.as_bytes())));
            prop_assert!(layout().references_of(key.as_bytes()).contains(&path));
        }
    }
}
