//! The SHA-256 at the end of a snapshot, checked while the snapshot passes.

use std::fmt::Write;

use aws_lc_rs::digest;
use thiserror::Error;

use crate::kvstore::DIGEST_BYTES;

/// The snapshot does not have the SHA-256 that it ends with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the SHA-256 of the database is {computed}, but the snapshot ends with {stored}")]
pub struct DigestMismatch {
    /// The SHA-256 of the bytes, in hex.
    pub computed: String,
    /// The last 32 bytes of the snapshot, in hex.
    pub stored: String,
}

/// Computes the SHA-256 of a snapshot's database, and compares it with the one that follows the database.
pub struct SnapshotDigest {
    context: digest::Context,
    /// Bytes of the database that must follow.
    database_left: u64,
    stored: Vec<u8>,
}

impl SnapshotDigest {
    /// Begins a snapshot of this length in bytes, the SHA-256 included.
    pub fn new(total_bytes: u64) -> Self {
        let database_left = total_bytes.saturating_sub(DIGEST_BYTES);
        Self { context: digest::Context::new(&digest::SHA256), database_left, stored: Vec::new() }
    }

    /// Takes the next bytes, in pieces of any size.
    pub fn update(&mut self, bytes: &[u8]) {
        let count = usize::try_from(self.database_left).unwrap_or(usize::MAX).min(bytes.len());
        let (database, stored) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
        self.context.update(database);
        self.database_left = self.database_left.saturating_sub(count as u64);
        self.stored.extend_from_slice(stored);
    }

    /// The SHA-256 of the database in hex.
    ///
    /// # Errors
    /// The snapshot ends with another one.
    pub fn finish(self) -> Result<String, DigestMismatch> {
        let computed = self.context.finish();
        if computed.as_ref() == self.stored {
            return Ok(hex(computed.as_ref()));
        }
        Err(DigestMismatch { computed: hex(computed.as_ref()), stored: hex(&self.stored) })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    /// The SHA-256 of "abc" (FIPS 180-2, appendix B.1).
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn snapshot() -> Vec<u8> {
        [b"abc".as_slice(), digest::digest(&digest::SHA256, b"abc").as_ref()].concat()
    }

    fn check(bytes: &[u8], piece: usize) -> Result<String, DigestMismatch> {
        let mut digest = SnapshotDigest::new(bytes.len() as u64);
        bytes.chunks(piece).for_each(|piece| digest.update(piece));
        digest.finish()
    }

    #[test]
    fn pieces_of_any_size_give_the_same_digest() {
        for piece in 1..=36 {
            assert_eq!(check(&snapshot(), piece).as_deref(), Ok(ABC));
        }
    }

    #[test]
    fn a_flip_of_any_bit_is_found() {
        for at in 0..snapshot().len() * 8 {
            let mut bytes = snapshot();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(check(&bytes, 8).is_err(), "bit {at}");
        }
        let error = check(&[b"abd", &snapshot()[3..]].concat(), 8).expect_err("another database");
        let text = format!("the SHA-256 of the database is {}, but the snapshot ends with {ABC}", error.computed);
        assert_eq!(error.to_string(), text);
    }
}
