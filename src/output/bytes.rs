//! Bytes as escaped text, and as base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

pub use crate::escaped::{UnescapeError, escape, escape_into, name, unescape};

/// Invalid base64.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Base64Error {
    /// An invalid character, or one in the wrong position.
    #[error("invalid base64 at byte {0}: unexpected '{escaped}'", escaped = .1.escape_ascii())]
    Byte(usize, u8),
    /// Missing characters at the end.
    #[error("invalid base64: it is truncated, or its padding ('=') is missing")]
    End,
}

/// Decodes base64 as JSON output writes it: the standard alphabet with padding.
///
/// # Errors
/// The position of the first invalid character, or a truncated text.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, Base64Error> {
    STANDARD.decode(text).map_err(|error| match error {
        base64::DecodeError::InvalidByte(at, byte)
        | base64::DecodeError::InvalidLastSymbol { offset: at, symbol: byte, .. } => Base64Error::Byte(at, byte),
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => Base64Error::End,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn what_is_no_base64_says_where() {
        let decoded = |text: &str| decode_base64(text).map_err(|error| error.to_string());
        assert_eq!(decoded("AP8="), Ok(vec![0, 255]));
        assert_eq!(decoded("A*8="), Err("invalid base64 at byte 1: unexpected '*'".to_owned()));
        assert_eq!(decoded("AP8=\n"), Err(r"invalid base64 at byte 4: unexpected '\n'".to_owned()));
        // The last character holds bits beyond the one byte.
        assert_eq!(decoded("AB=="), Err("invalid base64 at byte 1: unexpected 'B'".to_owned()));
        for cut in ["A", "AP8", "AP8=A"] {
            assert!(decoded(cut).is_err_and(|why| why.starts_with("invalid base64")), "{cut}");
        }
    }
}
