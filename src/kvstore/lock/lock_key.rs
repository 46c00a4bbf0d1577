//! Which lock a key belongs to. Pure.
//!
//! Wire format: see [`lock`](crate::kvstore::lock).

use crate::kvstore::lock::owner::{is_rw, is_shared};
use crate::kvstore::types::KeyValue;

/// What stands before and after the last `/` of a key.
pub(crate) fn split_last_segment(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, rest) = key.split_at_checked(key.iter().rposition(|byte| *byte == b'/')?)?;
    Some((before, rest.strip_prefix(b"/")?))
}

/// The name of the lock that this contender's key belongs to; `None` unless the key's last path segment is its own
/// lease's ID.
pub fn lock_key_of(kv: &KeyValue) -> Option<&[u8]> {
    let (name, own) = split_last_segment(&kv.key)?;
    (own == kv.lease?.to_string().as_bytes()).then_some(name)
}

/// The number of digits of the nanoseconds since 1970 in a key of Go's `recipes.RWMutex`, from 2001 to 2286.
const NANOSECOND_DIGITS: usize = 19;

/// The name of the lock that a key of Go's `recipes.RWMutex` belongs to, and whether it is a reader's.
pub fn rw_mutex_key_of<'k>(key: &'k [u8], value: &[u8]) -> Option<(&'k [u8], bool)> {
    let (directory, own) = split_last_segment(key)?;
    let (name, role) = split_last_segment(directory)?;
    let reader = match role {
        b"read" => true,
        b"write" => false,
        _ => return None,
    };
    let by_go = own.len() == NANOSECOND_DIGITS && own.iter().all(u8::is_ascii_digit) && value.is_empty();
    (by_go || is_rw(value)).then_some((name, reader))
}

/// Whether a contender shares the lock with shared contenders.
pub(crate) fn shares(key: &[u8], value: &[u8]) -> bool {
    is_shared(value) || rw_mutex_key_of(key, value).is_some_and(|(_, reader)| reader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvstore::types::LeaseId;

    #[test]
    fn a_contender_s_key_ends_in_its_own_lease() {
        let kv = |key: &str, lease: i64| KeyValue {
            key: key.into(),
            lease: LeaseId::from_wire(lease),
            ..KeyValue::default()
        };
        assert_eq!(lock_key_of(&kv("/a/b/1f", 0x1f)), Some(b"/a/b".as_slice()));
        assert_eq!(lock_key_of(&kv("/a/1f", 0x2f)), None);
        assert_eq!(lock_key_of(&kv("/a/1F", 0x1f)), None);
        assert_eq!(lock_key_of(&kv("/a/01f", 0x1f)), None);
        assert_eq!(lock_key_of(&kv("/a/0", 0)), None);
        assert_eq!(lock_key_of(&kv("1f", 0x1f)), None);
    }
}
