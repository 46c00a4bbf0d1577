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
    let name = inside.strip_suffix('+').unwrap_or(inside);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        return Err(format!(
            "'{text}': '{{{inside}}}' is not a variable (use letters, digits, '-' and '_', optionally followed by '+')"
        ));
    }
    Ok(Piece::Variable { name: name.to_owned(), slashes: name.len() != inside.len() })
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
        for bad in ["{", "}", "{}", "{+}", "{a b}", "{a++}", "a}b"] {
            assert!(pieces(bad).is_err(), "{bad}");
        }
    }
}
