//! Matches keys with objects and fields.

use std::borrow::Cow;

use super::super::schema::{Encoding, Kind, KindId, Schema, Segment};

/// A match: the key is a field of an object of this kind, whose own key takes the first `parts` parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMatch {
    pub kind: KindId,
    /// Number of parts of the object's key.
    pub parts: usize,
    /// Number of these parts that the long variable takes.
    taken: usize,
}

/// A key below the prefix, split at slashes.
pub struct KeyParts<'a> {
    pub key: &'a [u8],
    parts: Vec<&'a [u8]>,
}

impl<'a> KeyParts<'a> {
    pub fn new(key: &'a [u8]) -> Self {
        Self { key, parts: key.split(|byte| *byte == b'/').collect() }
    }

    /// The first `parts` parts, with the slashes between them.
    pub fn first(&self, parts: usize) -> &'a [u8] {
        &self.key[..self.length(parts)]
    }

    fn length(&self, parts: usize) -> usize {
        self.parts[..parts].iter().map(|part| part.len() + 1).sum::<usize>() - usize::from(parts > 0)
    }

    /// The key after the first `parts` parts and a slash.
    pub fn behind(&self, parts: usize) -> &'a [u8] {
        self.key.get(self.length(parts) + 1..).unwrap_or_default()
    }

    /// All fields of the schema that the key matches.
    pub fn matches(&self, schema: &Schema) -> Vec<KeyMatch> {
        let mut found = Vec::new();
        self.for_each_match(schema, |kind, key_match| {
            let rest = &self.parts[key_match.parts..];
            let is_field = match rest {
                [] => kind.own_key,
                rest => kind.fields.iter().any(|field| field.fits(rest).is_some()),
            };
            if is_field && (kind.encoding == Encoding::Raw || rest.iter().all(|part| decode(part).is_some())) {
                found.push(key_match);
            }
        });
        found
    }

    /// All objects that the key could be or lie in, whether or not it matches a field.
    pub fn possible_objects(&self, schema: &Schema) -> Vec<KeyMatch> {
        let mut found = Vec::new();
        self.for_each_match(schema, |_, key_match| found.push(key_match));
        found
    }

    fn for_each_match(&self, schema: &Schema, mut take: impl FnMut(&Kind, KeyMatch)) {
        for (kind, id) in schema.kinds.iter().zip(0..) {
            let shortest = kind.key.0.len();
            let longest = if kind.key.many().is_some() { self.parts.len() } else { shortest };
            for parts in shortest..=longest.min(self.parts.len()) {
                let Some(taken) = kind.key.fits(&self.parts[..parts]) else { continue };
                let key_match = KeyMatch { kind: id, parts, taken };
                if (kind.encoding == Encoding::Raw || self.decodes(kind, key_match)) && self.agrees(kind, key_match) {
                    take(kind, key_match);
                }
            }
        }
    }

    fn decodes(&self, kind: &Kind, key_match: KeyMatch) -> bool {
        kind.key.0.iter().zip(&self.parts[..key_match.parts]).all(|(segment, part)| match segment {
            Segment::Literal(_) => true,
            Segment::Encoded(_) | Segment::Part(..) => decode(part).is_some(),
            Segment::One(_) | Segment::Many(_) => decode(part).is_some_and(|name| !name.contains(&b'/')),
        })
    }

    /// Whether the segments that repeat parts of variables do so.
    fn agrees(&self, kind: &Kind, key_match: KeyMatch) -> bool {
        if !kind.key.0.iter().any(|segment| matches!(segment, Segment::Part(..))) {
            return true;
        }
        let variables = self.variables(kind, key_match);
        let mut at = 0;
        kind.key.0.iter().all(|segment| {
            let place = at;
            at += if matches!(segment, Segment::Many(_)) { key_match.taken } else { 1 };
            let Segment::Part(name, slice) = segment else { return true };
            let variable = kind.key.variables().position(|known| known == name).and_then(|at| variables.get(at));
            let part = self.parts.get(place).map(|part| decoded(part));
            variable.zip(part).is_some_and(|(whole, part)| slice.of(whole) == part.as_ref())
        })
    }

    /// The decoded variables of the object's key, in order.
    pub fn variables(&self, kind: &Kind, key_match: KeyMatch) -> Vec<Cow<'a, [u8]>> {
        let mut found = Vec::with_capacity(kind.scoped.len());
        let mut at = 0;
        for segment in &kind.key.0 {
            let takes = if matches!(segment, Segment::Many(_)) { key_match.taken } else { 1 };
            if !matches!(segment, Segment::Literal(_) | Segment::Part(..)) {
                let start = self.length(at) + usize::from(at > 0);
                let bytes = &self.key[start..self.length(at + takes)];
                found.push(if kind.encoding == Encoding::Raw { Cow::Borrowed(bytes) } else { decoded(bytes) });
            }
            at += takes;
        }
        found
    }

    /// The decoded name of the field; empty for the object's own key.
    pub fn field(&self, kind: &Kind, key_match: KeyMatch) -> Cow<'a, [u8]> {
        let raw = self.behind(key_match.parts);
        if kind.encoding == Encoding::Raw { Cow::Borrowed(raw) } else { decoded(raw) }
    }
}

/// The decoded name of a field, in which the slashes that were encoded are replaced by a byte that is none; `None` if
/// there are no such slashes.
pub fn without_encoded_slashes(raw: &[u8]) -> Option<Vec<u8>> {
    let is_slash = |code: &[u8]| code.eq_ignore_ascii_case(b"%2f");
    if !raw.windows(3).any(is_slash) {
        return None;
    }
    let mut masked = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, tail)) = rest.split_first() {
        if rest.get(..3).is_some_and(is_slash) {
            masked.push(0);
            rest = &rest[3..];
        } else if *first == b'%' && rest.len() >= 3 {
            masked.extend_from_slice(&decoded(&rest[..3]));
            rest = &rest[3..];
        } else {
            masked.push(*first);
            rest = tail;
        }
    }
    Some(masked)
}

/// Joins the variables of the scope, or the others, with slashes.
pub fn joined(buffer: &mut Vec<u8>, kind: &Kind, variables: &[Cow<'_, [u8]>], scoped: bool) {
    buffer.clear();
    let mut first = true;
    for (variable, _) in variables.iter().zip(&kind.scoped).filter(|(_, is)| **is == scoped) {
        if !first {
            buffer.push(b'/');
        }
        first = false;
        buffer.extend_from_slice(variable);
    }
}

/// Whether an object of this kind can have this identity.
pub fn is_valid_identity(kind: &Kind, identity: &[u8]) -> bool {
    let own = kind.scoped.iter().filter(|scoped| !**scoped).count();
    if own == 0 {
        return identity.is_empty();
    }
    let long = kind.key.0.iter().any(|segment| matches!(segment, Segment::Many(_) | Segment::Encoded(_)));
    let mut parts = identity.split(|byte| *byte == b'/');
    let count = parts.clone().count();
    // Only a variable of any length can take an empty part.
    !identity.is_empty() && if long { count >= own } else { count == own && parts.all(|part| !part.is_empty()) }
}

/// Decodes `%XX`; `None` if a `%` is not followed by two hex digits.
fn decode(part: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(first) = part.iter().position(|byte| *byte == b'%') else { return Some(Cow::Borrowed(part)) };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = part[..first].to_vec();
    let mut rest = &part[first..];
    while let Some((byte, tail)) = rest.split_first() {
        if *byte == b'%' {
            let [high, low, tail @ ..] = tail else { return None };
            bytes.push(digit(*high)? << 4 | digit(*low)?);
            rest = tail;
        } else {
            bytes.push(*byte);
            rest = tail;
        }
    }
    Some(Cow::Owned(bytes))
}

/// Decodes a part that is known to be valid.
fn decoded(part: &[u8]) -> Cow<'_, [u8]> {
    decode(part).unwrap_or(Cow::Borrowed(part))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn schema(encoding: &str) -> Schema {
        let text = Schema::built_in("containerd").unwrap();
        Schema::parse(&text.replace("encoding: raw", encoding), "containerd").unwrap()
    }

    fn read(schema: &Schema, key: &str) -> Vec<(String, String, String)> {
        let parts = KeyParts::new(key.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parts
            .matches(schema)
            .into_iter()
            .map(|key_match| {
                let kind = schema.kind(key_match.kind);
                let mut identity = Vec::new();
                joined(&mut identity, kind, &parts.variables(kind, key_match), false);
                (kind.name.clone(), text(&identity), text(&parts.field(kind, key_match)))
            })
            .collect()
    }

    fn one(kind: &str, identity: &str, field: &str) -> Vec<(String, String, String)> {
        vec![(kind.to_owned(), identity.to_owned(), field.to_owned())]
    }

    #[test]
    fn raw_keys() {
        let schema = schema("encoding: raw");
        let read = |key| read(&schema, key);
        assert_eq!(read("v1/a/content/blob/sha256:1/size"), one("content", "sha256:1", "size"));
        assert_eq!(read("v1/a/leases/l/snapshots/o/a/b"), one("lease", "l", "snapshots/o/a/b"));
        assert_eq!(read("v1/a/images/docker.io/x:1/labels/a/b"), one("image", "docker.io/x:1", "labels/a/b"));
        assert_eq!(read("v1/a/snapshots/o/s/1/children/s/2"), one("snapshot", "o/s/1", "children/s/2"));
        assert_eq!(read("v1/a/labels/x"), one("namespace", "", "labels/x"));
        assert_eq!(read("v1/a/sandboxes/s/anything/at/all"), one("sandbox", "s", "anything/at/all"));
        for none in ["v1/version", "v1/a/content/blob/d", "v1/a/content/blob/d/x", "v1/a/images/createdat", "v1", ""] {
            assert_eq!(read(none), [], "{none}");
        }
        assert_eq!(read("v1/a/images/a/labels/b/labels/c").len(), 2);
        assert!(schema.is_opaque(b"v1/version") && !schema.is_opaque(b"v1/versions"));
    }

    #[test]
    fn encoded_keys() {
        let schema = schema("encoding: percent");
        let read = |key| read(&schema, key);
        assert_eq!(read("v1/a/images/docker.io%2Fx:1/labels/a%2Fb"), one("image", "docker.io/x:1", "labels/a/b"));
        assert_eq!(read("v1/a/snapshots/o/s%2F1/parent"), one("snapshot", "o/s/1", "parent"));
        // A slash in a name is encoded; it belongs to the identity if that has one variable.
        assert_eq!(read("v1/a/leases/w%2F1/createdat"), one("lease", "w/1", "createdat"));
        for none in ["v1/a/images/a/b/createdat", "v1/a/images/a%2/createdat", "v1/a/snapshots/o%2fp/s/parent"] {
            assert_eq!(read(none), [], "{none}");
        }
    }

    #[test]
    fn identities() {
        let schema = schema("encoding: raw");
        let can = |kind: &str, identity: &str| {
            is_valid_identity(schema.kind(schema.kind_named(kind).unwrap()), identity.as_bytes())
        };
        assert!(can("snapshot", "o/a") && can("snapshot", "o/a/b") && !can("snapshot", "o"));
        assert!(can("content", "d") && !can("content", "d/e") && !can("content", ""));
        assert!(can("namespace", "") && !can("namespace", "a"));
    }

    #[test]
    fn slashes_that_were_encoded_are_masked() {
        for (raw, masked) in [
            ("a%2Fb", Some("a\0b")),
            ("a%2fb%20c/d%", Some("a\0b c/d%")),
            ("%252F%2F", Some("%2F\0")),
            ("a%20b/c", None),
            ("%252F", None),
            ("", None),
        ] {
            let found = without_encoded_slashes(raw.as_bytes());
            assert_eq!(found.as_deref(), masked.map(str::as_bytes), "{raw}");
        }
    }
}
