//! Names of users and roles, and ranges of permissions, in sentences.

use crate::kvstore::{KeyRange, Permission, RangeForm};
use crate::output::bytes;

/// The user that etcd requires, and the role that may do everything.
pub const ROOT: &str = "root";

/// The longest name that kvadm gives to a user or a role. etcd itself has no limit: a name of more than 32,768 bytes, the
/// `MaxKeySize` of its database, ends each member, and ends it again after every restart.
pub const MAX_NAME_BYTES: usize = 1024;
/// How much of a longer name is shown.
const SHOWN_CHARS: usize = 64;

/// A name on one line. A server may send any text.
pub fn shown(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return bytes::name(name.as_bytes());
    }
    let start: String = name.chars().take(SHOWN_CHARS).collect();
    format!("{}… ({} bytes)", bytes::name(start.as_bytes()), name.len())
}

/// A name in a message: on one line, and of a long one its beginning.
pub fn short_name(name: &str) -> String {
    let mut characters = name.chars();
    let beginning: String = characters.by_ref().take(SHOWN_CHARS).collect();
    let beginning = shown(&beginning);
    if characters.next().is_some() { beginning + "…" } else { beginning }
}

/// Why a user or a role must not be given this name.
pub fn name_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("the name is empty".to_owned());
    }
    let bytes = name.len();
    (bytes > MAX_NAME_BYTES)
        .then(|| format!("the name has {bytes} bytes, and kvadm sends {MAX_NAME_BYTES} at most: etcd does not survive a very long one"))
}

/// A range in words: "key /a", "keys with the prefix /a/", "all keys", "keys from a to b".
pub fn format_range(range: &KeyRange) -> String {
    match RangeForm::of(range) {
        RangeForm::Nothing => "no key (the first key is empty)".to_owned(),
        RangeForm::Key(key) => format!("key {}", bytes::name(key)),
        RangeForm::All => "all keys".to_owned(),
        RangeForm::From(from) => format!("all keys from {}", bytes::name(from)),
        RangeForm::Prefix(prefix) => format!("keys with the prefix {}", bytes::name(prefix)),
        RangeForm::Between(from, to) => format!("keys from {} to {}", bytes::name(from), bytes::name(to)),
    }
}

/// A permission in words: "readwrite on keys with the prefix /a/".
pub fn format_permission(permission: &Permission) -> String {
    format!("{} on {}", permission.access, format_range(&permission.range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_refused_and_shortened() {
        assert_eq!(shown(&"x".repeat(1024)).len(), 1024);
        assert_eq!(shown(&"é".repeat(1000)), format!("{}… (2000 bytes)", "é".repeat(64)));
        assert_eq!(name_fault(&"x".repeat(1024)), None);
        assert!(name_fault(&"x".repeat(1025)).is_some_and(|why| why.starts_with("the name has 1025 bytes")));
        assert!(name_fault("").is_some());
    }

    #[test]
    fn ranges_in_words() {
        for (range, words) in [
            (KeyRange::key(b"/a"), "key /a"),
            (KeyRange::prefix(b"/a/"), "keys with the prefix /a/"),
            (KeyRange::prefix(b""), "all keys"),
            (KeyRange::between(b"a", None), "all keys from a"),
            (KeyRange::between(b"a", Some(b"c")), "keys from a to c"),
            (KeyRange::between(b"", Some(b"")), "no key (the first key is empty)"),
            (KeyRange::prefix(b"\xff"), "all keys from \\xff"),
            (KeyRange::key(b"\x1b[2J"), "key \\x1b[2J"),
        ] {
            assert_eq!(format_range(&range), words);
        }
    }
}
