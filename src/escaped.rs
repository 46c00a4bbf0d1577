//! Bytes as escaped text: the form that `text` output prints and `--escape` reads.

use std::fmt::Write;

use thiserror::Error;

/// An invalid escape sequence.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("invalid escape at byte {at}: {what}")]
pub struct UnescapeError {
    at: usize,
    what: &'static str,
}

/// Whether all bytes pass. Bytes are tested in blocks without a branch for each byte, so that the compiler uses vector
/// instructions: most values have nothing to escape, and testing them takes longer than copying them.
pub fn all_bytes(bytes: &[u8], passes: impl Fn(u8) -> bool) -> bool {
    const BLOCK_BYTES: usize = 64;
    bytes.chunks(BLOCK_BYTES).all(|block| block.iter().fold(true, |all, byte| all & passes(*byte)))
}

/// Appends the bytes on one line so that they decode back exactly: tab, newline, carriage return, backslash and NUL as
/// named escapes, other control characters and bytes that are not UTF-8 as `\xNN`.
pub fn escape_into(out: &mut String, bytes: &[u8]) {
    if all_bytes(bytes, |byte| matches!(byte, 0x20..0x7f) & (byte != b'\\'))
        && let Ok(plain) = std::str::from_utf8(bytes)
    {
        out.push_str(plain);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        if valid.bytes().all(|byte| byte >= 0x20 && byte != b'\\' && byte != 0x7f) && !valid.chars().any(is_c1) {
            out.push_str(valid);
        } else {
            valid.chars().for_each(|c| escape_char(out, c));
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

fn is_c1(c: char) -> bool {
    ('\u{80}'..='\u{9f}').contains(&c) || matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}')
}

fn escape_char(out: &mut String, c: char) {
    match c {
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\\' => out.push_str("\\\\"),
        '\0' => out.push_str("\\0"),
        c if (c as u32) < 0x20 || c == '\u{7f}' || is_c1(c) => {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        c => out.push(c),
    }
}

/// The bytes as escaped text.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    escape_into(&mut out, bytes);
    out
}

/// A key in a message: escaped, and `''` for the empty key, which exists in a namespace.
pub fn name(key: &[u8]) -> String {
    if key.is_empty() { "''".to_owned() } else { escape(key) }
}

/// Decodes `\xNN`, `\t`, `\n`, `\r`, `\0` and `\\`; all other bytes stay unchanged.
///
/// # Errors
/// An unknown escape, with its position.
pub fn unescape(text: &[u8]) -> Result<Vec<u8>, UnescapeError> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte != b'\\' {
            out.push(*byte);
            at += 1;
            continue;
        }
        let (decoded, len) = match text.get(at + 1) {
            Some(b't') => (b'\t', 2),
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'0') => (0, 2),
            Some(b'\\') => (b'\\', 2),
            Some(b'x') => {
                let digits = text.get(at + 2..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
                let hex = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    Some(byte) => (byte, 4),
                    None => return Err(UnescapeError { at, what: "\\x needs two hex digits" }),
                }
            }
            _ => return Err(UnescapeError { at, what: "use \\xNN, \\t, \\n, \\r, \\0 or \\\\" }),
        };
        out.push(decoded);
        at += len;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_escaped_decodes_back_and_stays_on_its_line(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = escape(&bytes);
            prop_assert!(!text.chars().any(|c| c.is_control()));
            prop_assert_eq!(unescape(text.as_bytes()), Ok(bytes));
        }

        #[test]
        fn blocks_are_tested_to_the_last_byte(length in 0usize..200, odd in proptest::option::of(0usize..200)) {
            let mut bytes = vec![b'a'; length];
            let odd = odd.filter(|at| *at < length);
            odd.into_iter().for_each(|at| bytes[at] = b'b');
            prop_assert_eq!(all_bytes(&bytes, |byte| byte == b'a'), odd.is_none());
        }

        #[test]
        fn text_with_separators_too(text in "[\\PC\t\n\u{85}\u{2028}]{0,24}") {
            let escaped = escape(text.as_bytes());
            let torn = escaped.contains(['\t', '\n', '\u{2028}']);
            prop_assert!(!torn);
            prop_assert_eq!(unescape(escaped.as_bytes()), Ok(text.into_bytes()));
        }
    }

    #[test]
    fn the_forms() {
        assert_eq!(escape(b"a\tb\n\\\x00\x1b\xff"), "a\\tb\\n\\\\\\0\\x1b\\xff");
        assert_eq!(escape("é /x".as_bytes()), "é /x");
        assert_eq!(unescape(br"\q"), Err(UnescapeError { at: 0, what: "use \\xNN, \\t, \\n, \\r, \\0 or \\\\" }));
        assert_eq!(unescape(br"ab\x+1").map_err(|e| e.at), Err(2));
        assert_eq!(unescape(br"\").map_err(|e| e.at), Err(0));
    }
}
