//! Text with variables in braces, as used by templates, patterns and identities.

/// A piece of such a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These bytes.
    Literal(Vec<u8>),
    /// `{name}`, or `{name+}`, which may contain slashes.
    Variable {
        /// The name.
        name: String,
        /// Whether it may contain slashes.
        slashes: bool,
    },
    /// `{name[FROM:TO]}`: some of the bytes of a variable.
    Part {
        /// The name of the variable.
        name: String,
        /// Which bytes.
        slice: Slice,
    },
}

/// A range of bytes, of which only those that exist count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    from: usize,
    to: Option<usize>,
}

impl Slice {
    /// The bytes of the range.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        let to = self.to.unwrap_or(bytes.len()).min(bytes.len());
        bytes.get(self.from..to).unwrap_or_default()
    }

    /// Parses `FROM:TO`; both may be missing, but not both at once.
    fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(':')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let slice = Self {
            from: if from.is_empty() { 0 } else { number(from)? },
            to: if to.is_empty() { None } else { Some(number(to)?) },
        };
        (text != ":" && slice.to.is_none_or(|to| to > slice.from)).then_some(slice)
    }
}

/// Splits a text into pieces. `{{` and `}}` stand for braces.
///
/// # Errors
/// An unbalanced brace, or a variable name that is not valid.
pub fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut found = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("{{") || rest.starts_with("}}") {
            literal.push(rest.as_bytes()[0]);
            rest = &rest[2..];
        } else if c == '{' {
            let Some(end) = rest.find('}') else { return Err(format!("'{text}' has a '{{' without '}}'")) };
            if !literal.is_empty() {
                found.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            found.push(variable(text, &rest[1..end])?);
            rest = &rest[end + 1..];
        } else if c == '}' {
            return Err(format!("'{text}' has a '}}' without '{{'"));
        } else {
            let (head, tail) = rest.split_at(c.len_utf8());
            literal.extend_from_slice(head.as_bytes());
            rest = tail;
        }
    }
    if !literal.is_empty() {
        found.push(Piece::Literal(literal));
    }
    Ok(found)
}

fn variable(text: &str, inside: &str) -> Result<Piece, String> {
    if let Some((name, slice)) = inside.strip_suffix(']').and_then(|inside| inside.split_once('[')) {
        let slice = Slice::parse(slice).filter(|_| is_name(name));
        return slice.map(|slice| Piece::Part { name: name.to_owned(), slice }).ok_or_else(|| {
            format!("'{text}': '{{{inside}}}' is not a part of a variable (use e.g. {{name[0:2]}}, {{name[2:]}})")
        });
    }
    let name = inside.strip_suffix('+').unwrap_or(inside);
    if !is_name(name) {
        return Err(format!(
            "'{text}': '{{{inside}}}' is not a variable (use letters, digits, '-' and '_', optionally followed by '+')"
        ));
    }
    Ok(Piece::Variable { name: name.to_owned(), slashes: name.len() != inside.len() })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces() {
        let var = |name: &str, slashes| Piece::Variable { name: name.to_owned(), slashes };
        assert_eq!(
            pieces("a.{b}{c+}{{é}}"),
            Ok(vec![
                Piece::Literal(b"a.".to_vec()),
                var("b", false),
                var("c", true),
                Piece::Literal("{é}".as_bytes().to_vec())
            ])
        );
        assert_eq!(pieces(""), Ok(vec![]));
        let part = |from, to| Piece::Part { name: "a".to_owned(), slice: Slice { from, to } };
        assert_eq!(
            pieces("{a[0:2]}/{a[:2]}{a[2:]}"),
            Ok(vec![part(0, Some(2)), Piece::Literal(b"/".to_vec()), part(0, Some(2)), part(2, None)])
        );
        let bad_parts =
            ["{a[]}", "{a[:]}", "{a[1]}", "{a[2:1]}", "{a[1:1]}", "{a[x:]}", "{a[+1:]}", "{[0:1]}", "{a+[0:1]}"];
        for bad in ["{", "}", "{}", "{+}", "{a b}", "{a++}", "a}b"].into_iter().chain(bad_parts) {
            assert!(pieces(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slice_takes_the_bytes_that_exist() {
        let slice = |text| Slice::parse(text).map(|slice| slice.of(b"abcd").to_vec());
        assert_eq!(slice("0:2"), Some(b"ab".to_vec()));
        assert_eq!(slice("2:"), Some(b"cd".to_vec()));
        assert_eq!(slice("3:9"), Some(b"d".to_vec()));
        assert_eq!(slice("5:9"), Some(Vec::new()));
    }
}
