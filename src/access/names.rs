//! The names of users and roles: how long they may be, and how a long one is shown.

use thiserror::Error;

use super::words::shown;

/// The longest name of a user or a role that kvadm sends. etcd uses the name as a key of its database, whose keys have at most
/// 32768 bytes: a longer name ends the etcd process, and ends it again at each restart. No directory has names that are
/// longer than this.
pub const MAX_NAME_BYTES: usize = 1024;
/// The characters of a long name that a message shows.
const SHOWN_CHARS: usize = 64;

/// A name that kvadm does not send.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the name of a {noun} has at most {MAX_NAME_BYTES} bytes, and this one has {bytes}: {name}")]
pub struct NameTooLong {
    noun: String,
    bytes: usize,
    /// The beginning of the name, safe to print.
    name: String,
}

/// Checks the length of the name of a user or a role; the noun is "user" or "role".
///
/// # Errors
/// The name is longer than [`MAX_NAME_BYTES`].
pub fn check_name(noun: &str, name: &str) -> Result<(), NameTooLong> {
    if name.len() <= MAX_NAME_BYTES {
        return Ok(());
    }
    Err(NameTooLong { noun: noun.to_owned(), bytes: name.len(), name: short_name(name) })
}

/// A name in a message: on one line, and of a long one its beginning.
pub fn short_name(name: &str) -> String {
    let mut characters = name.chars();
    let beginning: String = characters.by_ref().take(SHOWN_CHARS).collect();
    let beginning = shown(&beginning);
    if characters.next().is_some() { beginning + "…" } else { beginning }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_bytes() {
        assert_eq!(check_name("user", &"x".repeat(MAX_NAME_BYTES)), Ok(()));
        let error = check_name("role", &"é".repeat(MAX_NAME_BYTES / 2 + 1)).map_err(|error| error.to_string());
        let expected =
            format!("the name of a role has at most 1024 bytes, and this one has 1026: {}…", "é".repeat(SHOWN_CHARS));
        assert_eq!(error, Err(expected));
    }

    #[test]
    fn a_long_name_is_shortened() {
        assert_eq!(short_name(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(short_name(&"x".repeat(65)), "x".repeat(64) + "…");
        assert_eq!(short_name("\x1b[2J"), "\\x1b[2J");
    }
}
