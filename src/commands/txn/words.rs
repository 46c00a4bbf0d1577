//! Splits the lines of `etcdctl txn -i` into words, and decodes Go's quoted strings. No I/O.
//!
//! Source: `Argify` in etcd's `etcdctl/ctlv3/command/util.go`, and `strconv.Unquote` of Go.

/// Reads a string in double quotes (with Go's escapes) or back quotes (as it is) from the start of the text. Returns its bytes
/// and the text after it.
///
/// # Errors
/// What is wrong with the string.
pub fn quoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    if let Some(inner) = text.strip_prefix('`') {
        let (inner, rest) = inner.split_once('`').ok_or("the closing ` is missing")?;
        return Ok((inner.as_bytes().to_vec(), rest));
    }
    let mut rest = text.strip_prefix('"').ok_or_else(|| format!("expected text in double quotes at '{text}'"))?;
    let mut bytes = Vec::new();
    loop {
        let mut characters = rest.chars();
        match characters.next() {
            None => return Err("the closing \" is missing".to_owned()),
            Some('"') => return Ok((bytes, characters.as_str())),
            Some('\\') => rest = escaped(characters.as_str(), &mut bytes)?,
            Some(character) => {
                bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
                rest = characters.as_str();
            }
        }
    }
}

/// Decodes the escape whose text follows the backslash. Returns the text after it.
fn escaped<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Result<&'a str, String> {
    let mut characters = text.chars();
    let kind = characters.next().ok_or("the closing \" is missing")?;
    let rest = characters.as_str();
    let digits = |count: usize, radix: u32, text: &'a str| {
        let digits = text.get(..count).filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, radix).ok());
        number.map(|number| (number, text.get(count..).unwrap_or_default()))
    };
    let invalid = || format!("'\\{kind}' is not an escape of Go, or lacks digits; a backslash itself is \\\\");
    let byte = match kind {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '"' => b'"',
        'x' | '0'..='7' => {
            let number = if kind == 'x' { digits(2, 16, rest) } else { digits(3, 8, text) };
            let (number, rest) = number.ok_or_else(invalid)?;
            bytes.push(u8::try_from(number).map_err(|_| invalid())?);
            return Ok(rest);
        }
        'u' | 'U' => {
            let (number, rest) = digits(if kind == 'u' { 4 } else { 8 }, 16, rest).ok_or_else(invalid)?;
            let character = char::from_u32(number).ok_or_else(invalid)?;
            bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
            return Ok(rest);
        }
        _ => return Err(invalid()),
    };
    bytes.push(byte);
    Ok(rest)
}

/// The words of a line: in double quotes (with Go's escapes), in single quotes (as they are), or up to the next space.
///
/// # Errors
/// A quoted word that does not end, or that does not end before a space.
pub fn split(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' => quoted(rest)?,
            '\'' => {
                let (word, after) =
                    rest.get(1..).and_then(|rest| rest.split_once('\'')).ok_or("the closing ' is missing")?;
                (word.as_bytes().to_vec(), after)
            }
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                (word.as_bytes().to_vec(), after)
            }
        };
        if after.starts_with(|next: char| !next.is_whitespace()) {
            return Err(format!("expected a space after the closing quote at '{after}'"));
        }
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(line: &str) -> Result<Vec<String>, String> {
        split(line).map(|words| words.iter().map(|word| word.escape_ascii().to_string()).collect())
    }

    #[test]
    fn words_are_split_as_etcdctl_splits_them() {
        for (line, expected) in [
            ("put key1 \"created-key1\"", &["put", "key1", "created-key1"][..]),
            ("put  k\t'a \"b\" c'  --lease=1f", &["put", "k", "a \\\"b\\\" c", "--lease=1f"]),
            (r#"put k "a\"b\\c\n\t\x00\377""#, &["put", "k", r#"a\"b\\c\n\t\x00\xff"#]),
            (r#"put k {"a":1}"#, &["put", "k", r#"{\"a\":1}"#]),
            (r#"put k "" "\u00e9\U0001F600""#, &["put", "k", "", r"\xc3\xa9\xf0\x9f\x98\x80"]),
        ] {
            assert_eq!(words(line).unwrap_or_else(|why| panic!("{line}: {why}")), expected, "{line}");
        }
        for (line, why) in [
            ("put k \"a", "the closing \" is missing"),
            ("put k \"a\\", "the closing \" is missing"),
            ("put k 'a", "the closing ' is missing"),
            ("put k \"a\"b", "expected a space after the closing quote at 'b'"),
            (r#"put k "\q""#, "'\\q' is not an escape of Go, or lacks digits; a backslash itself is \\\\"),
            (r#"put k "\x1""#, "'\\x' is not an escape of Go, or lacks digits; a backslash itself is \\\\"),
            (r#"put k "\477""#, "'\\4' is not an escape of Go, or lacks digits; a backslash itself is \\\\"),
            (r#"put k "\ud800""#, "'\\u' is not an escape of Go, or lacks digits; a backslash itself is \\\\"),
        ] {
            assert_eq!(words(line), Err(why.to_owned()), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_gets_an_answer(line in "\\PC{0,40}", quotes in "[\"'`\\\\ xu0-9é(]{0,30}") {
            let _ = (split(&line), split(&quotes), quoted(&quotes));
        }

        #[test]
        fn escaped_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            let text = format!("\"{text}\" x");
            prop_assert_eq!(quoted(&text), Ok((bytes.clone(), " x")));
            let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
            let octal = format!("\"{octal}\"");
            prop_assert_eq!(quoted(&octal), Ok((bytes, "")));
        }
    }
}
