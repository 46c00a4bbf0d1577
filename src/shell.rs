//! Words of a shell's command line, for lines that a message suggests to paste.

use std::fmt::Write;

/// Quotes a word so that a POSIX shell reads back these bytes. Control characters, invisible characters and bytes that are
/// not UTF-8 are written as `$'…'`, which bash, zsh and ksh read.
pub fn quote(word: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.iter().all(|byte| plain(*byte)) {
        return String::from_utf8_lossy(word).into_owned();
    }
    match std::str::from_utf8(word) {
        Ok(text) if text.chars().all(is_shown) => format!("'{}'", text.replace('\'', "'\\''")),
        _ => ansi_c(word),
    }
}

/// Quotes words and joins them to a line.
pub fn line<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> String {
    words.into_iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// Letters of any script may be typed and are shown as they are; of the other characters only those of ASCII.
fn is_shown(c: char) -> bool {
    c.is_alphanumeric() || (' '..='~').contains(&c)
}

fn ansi_c(word: &[u8]) -> String {
    let mut quoted = String::from("$'");
    for byte in word {
        match byte {
            b'\'' | b'\\' => {
                quoted.push('\\');
                quoted.push(char::from(*byte));
            }
            b'\n' => quoted.push_str("\\n"),
            b'\t' => quoted.push_str("\\t"),
            b' '..=b'~' => quoted.push(char::from(*byte)),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\x{other:02x}");
            }
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_needs_quotes_has_quotes() {
        for (word, quoted) in [
            ("/app/mode", "/app/mode"),
            ("127.0.0.1:2379", "127.0.0.1:2379"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("grün", "'grün'"),
            ("a\u{202e}b", "$'a\\xe2\\x80\\xaeb'"),
            ("a\nb'c\\", "$'a\\nb\\'c\\\\'"),
        ] {
            assert_eq!(quote(word.as_bytes()), quoted);
        }
        assert_eq!(quote(b"\xff"), "$'\\xff'");
        assert_eq!(line(["kvadm", "get", "a b"]), "kvadm get 'a b'");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn bash_reads_back_the_word(word in proptest::collection::vec(1u8.., 0..24)) {
            let script = format!("printf %s {}", quote(&word));
            let output = Command::new("bash").env("LC_ALL", "C").arg("-c").arg(&script).output();
            let stdout = output.map_err(|error| TestCaseError::fail(error.to_string()))?.stdout;
            prop_assert_eq!(std::ffi::OsStr::from_bytes(&stdout), std::ffi::OsStr::from_bytes(&word), "{}", script);
        }
    }
}
