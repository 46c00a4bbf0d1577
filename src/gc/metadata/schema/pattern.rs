//! Patterns over bytes: what picks a field (or the parts of a value) and captures pieces of it.

use std::ops::Range;

use super::template::{Segment, Template};
use super::text::{Piece, pieces};

/// The most pieces one pattern captures.
pub const MAX_CAPTURES: usize = 4;

/// What may stand behind the pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Suffix {
    /// Nothing.
    #[default]
    None,
    /// Nothing, or one of these bytes and then anything.
    After(Vec<u8>),
    /// Anything.
    Any,
}

/// Words and captures in a row. A capture is never empty and takes as little as it can: up to the first place where
/// what follows it in the pattern stands, at the end up to the next slash (`{x}`) or all_ids (`{x+}`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
    suffix: Suffix,
}

/// The places of the captures, in order.
pub type Captures = [Range<usize>; MAX_CAPTURES];

impl Pattern {
    /// Reads `labels/gc.ref.snapshot.{snapshotter}`, and what may follow: `*` for anything, else a list of characters.
    ///
    /// # Errors
    /// Says what is wrong with the text: two captures side by side, too many of them, a bad variable.
    pub fn parse(text: &str, suffix: Option<&str>) -> Result<Self, String> {
        let pieces = pieces(text)?;
        if pieces.is_empty() {
            return Err("the pattern is empty".to_owned());
        }
        let is_variable = |piece: &Piece| matches!(piece, Piece::Variable { .. });
        if pieces.windows(2).any(|pair| pair.iter().all(is_variable)) {
            return Err(format!("in '{text}' nothing separates two variables"));
        }
        if pieces.iter().filter(|piece| is_variable(piece)).count() > MAX_CAPTURES {
            return Err(format!("'{text}' has more than {MAX_CAPTURES} variables"));
        }
        let suffix = match suffix {
            None => Suffix::None,
            Some("*") => Suffix::Any,
            Some("") => return Err("the suffix is empty".to_owned()),
            Some(bytes) => Suffix::After(bytes.as_bytes().to_vec()),
        };
        Ok(Self { pieces, suffix })
    }

    /// Finds the object's own key alone: the field without a name.
    pub fn own_key() -> Self {
        Self { pieces: Vec::new(), suffix: Suffix::None }
    }

    /// The names captured, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { name, .. } => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }

    /// Whether the bytes are what the pattern describes, and where the captures are.
    pub fn find(&self, bytes: &[u8]) -> Option<Captures> {
        let mut captures = Captures::default();
        let (mut at, mut captured) = (0, 0);
        for (index, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Literal(word) => at += bytes[at..].starts_with(word).then_some(word.len())?,
                Piece::Variable { slashes, .. } => {
                    let length = taken(&bytes[at..], *slashes, self.pieces.get(index + 1))?;
                    captures[captured] = at..at + length;
                    captured += 1;
                    at += length;
                }
            }
        }
        let rest = &bytes[at..];
        let ends = match &self.suffix {
            Suffix::None => rest.is_empty(),
            Suffix::After(bytes) => rest.first().is_none_or(|byte| bytes.contains(byte)),
            Suffix::Any => true,
        };
        ends.then_some(captures)
    }

    /// A template that describes at least the paths which the pattern finds.
    pub fn as_templates(&self) -> Vec<Template> {
        let mut segments = vec![Vec::new()];
        for piece in &self.pieces {
            match piece {
                Piece::Literal(word) => {
                    for (index, part) in word.split(|byte| *byte == b'/').enumerate() {
                        if index > 0 {
                            segments.push(Vec::new());
                        }
                        if let Some(last) = segments.last_mut() {
                            last.push(Piece::Literal(part.to_vec()));
                        }
                    }
                }
                variable => {
                    if let Some(last) = segments.last_mut() {
                        last.push(variable.clone());
                    }
                }
            }
        }
        let mut exact = Template(segments.into_iter().map(|parts| loosest(&parts)).collect());
        if self.suffix == Suffix::None {
            return vec![exact];
        }
        let alone = exact.clone();
        exact.0.pop();
        let longer = Template(exact.0.into_iter().chain([Segment::Many(String::new())]).collect());
        vec![alone, longer]
    }
}

fn taken(bytes: &[u8], slashes: bool, next: Option<&Piece>) -> Option<usize> {
    let slash = bytes.iter().position(|byte| *byte == b'/').unwrap_or(bytes.len());
    let reach = if slashes { bytes.len() } else { slash };
    let length = match next {
        Some(Piece::Literal(word)) => {
            (1..=bytes.len().checked_sub(word.len())?).find(|at| bytes[*at..].starts_with(word))?
        }
        _ => reach,
    };
    (length > 0 && length <= reach).then_some(length)
}

fn loosest(parts: &[Piece]) -> Segment {
    let mut word = Vec::new();
    let mut found = None;
    for part in parts {
        match part {
            Piece::Literal(bytes) => word.extend_from_slice(bytes),
            Piece::Variable { slashes: true, .. } => return Segment::Many(String::new()),
            Piece::Variable { .. } => found = Some(Segment::One(String::new())),
        }
    }
    found.unwrap_or(Segment::Literal(word))
}

/// How an object's identity is put together: words, and variables by their number among the captures, the object's own
/// variables, or the fields that were joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(pub Vec<IdentityPart>);

/// A stretch of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityPart {
    /// These bytes.
    Literal(Vec<u8>),
    /// The capture with this number.
    Capture(usize),
    /// The variable of the referring object's key with this number.
    Own(usize),
    /// The field's value, or what was captured in it by this number.
    Value(Option<usize>),
    /// The value of the joined field with this number.
    Joined(usize),
}

impl Identity {
    /// Reads `{snapshotter}/{value}`; `resolve` says what a name stands for.
    ///
    /// # Errors
    /// Says which name is unknown.
    pub fn parse(text: &str, resolve: impl Fn(&str) -> Option<IdentityPart>) -> Result<Self, String> {
        let part = |piece: Piece| match piece {
            Piece::Literal(bytes) => Ok(IdentityPart::Literal(bytes)),
            Piece::Variable { name, .. } => {
                resolve(&name).ok_or_else(|| format!("'{text}': nothing is called '{name}' here"))
            }
        };
        pieces(text)?.into_iter().map(part).collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Whether it is made of the field's value.
    pub fn uses_value(&self) -> bool {
        self.0.iter().any(|part| matches!(part, IdentityPart::Value(_) | IdentityPart::Joined(_)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn find(pattern: &str, suffix: Option<&str>, text: &str) -> Option<Vec<String>> {
        let pattern = Pattern::parse(pattern, suffix).unwrap();
        let captures = pattern.find(text.as_bytes())?;
        Some(captures.into_iter().take(pattern.names().count()).map(|range| text[range].to_owned()).collect())
    }

    fn all(texts: &[&str]) -> Option<Vec<String>> {
        Some(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn suffixes() {
        let content = |text| find("gc.ref.content", Some("./"), text);
        assert_eq!(content("gc.ref.content"), all(&[]));
        assert_eq!(content("gc.ref.content.x"), all(&[]));
        assert_eq!(content("gc.ref.content/x/y"), all(&[]));
        assert_eq!(content("gc.ref.contentbad"), None);
        assert_eq!(content("gc.ref.conten"), None);
        assert_eq!(find("gc.root", Some("*"), "gc.root.anything"), all(&[]));
        assert_eq!(find("gc.root", None, "gc.root.anything"), None);
    }

    #[test]
    fn captures() {
        let snapshot = |text| find("gc.ref.snapshot.{s}", Some("/"), text);
        assert_eq!(snapshot("gc.ref.snapshot.overlay"), all(&["overlay"]));
        assert_eq!(snapshot("gc.ref.snapshot.overlay.x/any"), all(&["overlay.x"]));
        assert_eq!(snapshot("gc.ref.snapshot./any"), None);
        assert_eq!(find("snapshots/{s}/{key+}", None, "snapshots/o/a/b"), all(&["o", "a/b"]));
        assert_eq!(find("snapshots/{s}/{key+}", None, "snapshots/o"), None);
        assert_eq!(find("{cond}|{key+}", None, "usedat<2h|a|b/c"), all(&["usedat<2h", "a|b/c"]));
        assert_eq!(find("{a}|{b}", None, "x/y|z"), None);
        assert_eq!(find("{a}.x", None, ".x.x"), all(&[".x"]));
    }

    #[test]
    fn bad_patterns() {
        for (text, suffix) in [("", None), ("{a}{b}", None), ("a", Some("")), ("{a}1{b}2{c}3{d}4{e}", None)] {
            assert!(Pattern::parse(text, suffix).is_err(), "{text}");
        }
    }

    #[test]
    fn the_templates_of_a_pattern_cover_it() {
        let declared = Template::parse("labels/{label+}", false).unwrap();
        for (text, suffix) in [("labels/a/b.{x}", None), ("labels/a", Some("./")), ("labels/{x+}", None)] {
            let pattern = Pattern::parse(text, suffix).unwrap();
            assert!(pattern.as_templates().iter().any(|template| template.meets(&declared)), "{text}");
        }
        let other = Pattern::parse("label/a", None).unwrap();
        assert!(!other.as_templates().iter().any(|template| template.meets(&declared)));
    }
}
