//! Names of users and roles, and ranges of permissions, in sentences.

use crate::kvstore::{KeyRange, Permission};
use crate::output::bytes;

/// The user that etcd requires, and the role that may do everything.
pub const ROOT: &str = "root";

/// A name on one line. A server may send any text.
pub fn shown(name: &str) -> String {
    bytes::name(name.as_bytes())
}

/// A range in words: "key /a", "keys with the prefix /a/", "all keys", "keys from a to b".
pub fn format_range(range: &KeyRange) -> String {
    if range.is_one_key() {
        return format!("key {}", bytes::name(&range.start));
    }
    if *range == KeyRange::prefix(b"") {
        return "all keys".to_owned();
    }
    match &range.end {
        None => format!("all keys from {}", bytes::name(&range.start)),
        Some(_) if *range == KeyRange::prefix(&range.start) => {
            format!("keys with the prefix {}", bytes::name(&range.start))
        }
        Some(end) => format!("keys from {} to {}", bytes::name(&range.start), bytes::name(end)),
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
    fn ranges_in_words() {
        for (range, words) in [
            (KeyRange::key(b"/a"), "key /a"),
            (KeyRange::prefix(b"/a/"), "keys with the prefix /a/"),
            (KeyRange::prefix(b""), "all keys"),
            (KeyRange::between(b"a", None), "all keys from a"),
            (KeyRange::between(b"a", Some(b"c")), "keys from a to c"),
            (KeyRange::prefix(b"\xff"), "all keys from \\xff"),
            (KeyRange::key(b"\x1b[2J"), "key \\x1b[2J"),
        ] {
            assert_eq!(format_range(&range), words);
        }
    }
}
