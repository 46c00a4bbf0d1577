//! Patterns over bytes: they match a field (or parts of a value) and capture pieces of it.

use std::ops::Range;

use super::template::{Segment, Template};
use super::text::{Piece, Slice, pieces};

/// Maximum number of captures of a pattern.
pub const MAX_CAPTURES: usize = 4;

/// What may follow the pattern.
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

/// A sequence of literals and captures. A capture is not empty and as short as possible: it ends before the next
/// literal, or at the end of the pattern at the next slash (`{x}`) or the end of the text (`{x+}`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
    suffix: Suffix,
    /// Bytes to skip before the first variable.
    skip: Vec<u8>,
}

/// Positions of the captures, in order.
pub type Captures = [Range<usize>; MAX_CAPTURES];

impl Pattern {
    /// Parses `labels/gc.ref.snapshot.{snapshotter}` and the suffix: `*` for anything, else a list of characters.
    ///
    /// # Errors
    /// Adjacent captures, too many captures, or a variable that is not valid.
    pub fn parse(text: &str, suffix: Option<&str>) -> Result<Self, String> {
        let pieces = pieces(text)?;
        if pieces.is_empty() {
            return Err("the pattern is empty".to_owned());
        }
        if pieces.iter().any(|piece| matches!(piece, Piece::Part { .. })) {
            return Err(format!("'{text}': a part of a variable can only be used in a key and in an id"));
        }
        let is_variable = |piece: &Piece| matches!(piece, Piece::Variable { .. });
        if pieces.windows(2).any(|pair| pair.iter().all(is_variable)) {
            return Err(format!("'{text}' has two adjacent variables; separate them"));
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
        Ok(Self { pieces, suffix, skip: Vec::new() })
    }

    /// A pattern that matches only the object's own key, a field with an empty name.
    pub fn own_key() -> Self {
        Self { pieces: Vec::new(), suffix: Suffix::None, skip: Vec::new() }
    }

    /// This pattern, which skips these bytes before the first variable.
    ///
    /// # Errors
    /// There is no variable.
    pub fn skipping(self, bytes: &str) -> Result<Self, String> {
        if self.names().next().is_none() {
            return Err("'skip' requires a variable".to_owned());
        }
        Ok(Self { skip: bytes.as_bytes().to_vec(), ..self })
    }

    /// Names of the captures, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { name, .. } => Some(name.as_str()),
            Piece::Literal(_) | Piece::Part { .. } => None,
        })
    }

    /// Names of the captures, in order, and whether they may contain slashes.
    pub fn captures(&self) -> impl Iterator<Item = (&str, bool)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { name, slashes } => Some((name.as_str(), *slashes)),
            Piece::Literal(_) | Piece::Part { .. } => None,
        })
    }

    /// The captures, if the pattern matches the bytes.
    pub fn find(&self, bytes: &[u8]) -> Option<Captures> {
        self.find_with(bytes, false)
    }

    /// Whether the pattern would match the bytes if every variable could contain slashes.
    pub fn finds_loosely(&self, bytes: &[u8]) -> bool {
        self.find_with(bytes, true).is_some()
    }

    fn find_with(&self, bytes: &[u8], any_slashes: bool) -> Option<Captures> {
        let mut captures = Captures::default();
        let (mut at, mut captured) = (0, 0);
        for (index, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Literal(word) => at += bytes[at..].starts_with(word).then_some(word.len())?,
                Piece::Part { .. } => return None,
                Piece::Variable { slashes, .. } => {
                    if captured == 0 {
                        at += bytes[at..].iter().take_while(|byte| self.skip.contains(byte)).count();
                    }
                    let length = taken(&bytes[at..], *slashes || any_slashes, self.pieces.get(index + 1))?;
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

    /// Templates that describe at least the paths that the pattern matches.
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
                    if self.skip.contains(&b'/') {
                        // The name may continue behind skipped slashes.
                        let mut open: Vec<Segment> = segments.iter().map(|parts| loosest(parts)).collect();
                        let alone = Template(open.clone());
                        open.pop();
                        let longer = open.into_iter().chain([Segment::Many(String::new())]).collect();
                        return vec![alone, Template(longer)];
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
            Piece::Variable { .. } | Piece::Part { .. } => found = Some(Segment::One(String::new())),
        }
    }
    found.unwrap_or(Segment::Literal(word))
}

/// How an object's identity is composed: literals, and variables given by their index among the captures, the object's
/// own variables, or the joined fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(pub Vec<IdentityPart>);

/// A part of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityPart {
    /// These bytes.
    Literal(Vec<u8>),
    /// The capture with this index.
    Capture(usize),
    /// The variable of the referring object's key with this index.
    Own(usize),
    /// The field's value, or the capture in it with this index.
    Value(Option<usize>),
    /// The value of the joined field with this index.
    Joined(usize),
    /// Some of the bytes of another part.
    Slice(Box<IdentityPart>, Slice),
}

impl IdentityPart {
    /// The part of which this is a slice; otherwise itself.
    pub fn whole(&self) -> &Self {
        match self {
            Self::Slice(part, _) => part.whole(),
            part => part,
        }
    }
}

impl Identity {
    /// Parses `{snapshotter}/{value}`; `resolve` maps names to parts.
    ///
    /// # Errors
    /// A name that is unknown.
    pub fn parse(text: &str, resolve: impl Fn(&str) -> Option<IdentityPart>) -> Result<Self, String> {
        let known =
            |name: &str| resolve(name).ok_or_else(|| format!("'{text}' uses '{name}', which is not defined here"));
        let part = |piece: Piece| match piece {
            Piece::Literal(bytes) => Ok(IdentityPart::Literal(bytes)),
            Piece::Variable { name, .. } => known(&name),
            Piece::Part { name, slice } => Ok(IdentityPart::Slice(Box::new(known(&name)?), slice)),
        };
        pieces(text)?.into_iter().map(part).collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Whether it contains the field's value.
    pub fn uses_value(&self) -> bool {
        self.0.iter().any(|part| matches!(part.whole(), IdentityPart::Value(_) | IdentityPart::Joined(_)))
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
        let loosely = |text: &str| Pattern::parse("uses/{a}", None).unwrap().finds_loosely(text.as_bytes());
        assert!(loosely("uses/a") && loosely("uses/a/b") && !loosely("uses/") && !loosely("user/a"));
        assert_eq!(find("{cond}|{key+}", None, "usedat<2h|a|b/c"), all(&["usedat<2h", "a|b/c"]));
        assert_eq!(find("{a}|{b}", None, "x/y|z"), None);
        assert_eq!(find("{a}.x", None, ".x.x"), all(&[".x"]));
        let skipping = Pattern::parse("cond{a}", Some("/")).unwrap().skipping("./").unwrap();
        for text in ["condx", "cond.x", "cond..x", "cond./x", "cond/x/y", "cond.//x/y/z"] {
            let captures = skipping.find(text.as_bytes()).unwrap();
            assert_eq!(&text[captures[0].clone()], "x", "{text}");
        }
        assert!(skipping.find(b"cond./").is_none() && Pattern::parse("a", None).unwrap().skipping("x").is_err());
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
