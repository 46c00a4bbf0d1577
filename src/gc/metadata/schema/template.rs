//! Templates of keys: segments separated by slashes, each a literal or a variable.

use super::text::{Piece, Slice, pieces};

/// A segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// These bytes.
    Literal(Vec<u8>),
    /// `{name}`: one segment without an encoded slash.
    One(String),
    /// `{name+}` in an encoded key: one segment.
    Encoded(String),
    /// `{name+}` in a raw key, or `**`: one or more segments.
    Many(String),
    /// `{name[0:2]}`: one segment, which repeats some bytes of another variable.
    Part(String, Slice),
}

/// A sequence of segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(pub Vec<Segment>);

impl Template {
    /// Parses `v1/{ns}/images/{name+}`. With `encoded`, a name that may contain slashes is one segment, because its
    /// slashes are written as `%2F`.
    ///
    /// # Errors
    /// An empty segment, or a variable that is not valid or is only part of a segment.
    pub fn parse(text: &str, encoded: bool) -> Result<Self, String> {
        let segment = |part: &str| match pieces(part)?.as_slice() {
            _ if part == "**" => Ok(Segment::Many(String::new())),
            [] => Err(format!("'{text}' has an empty segment")),
            [Piece::Literal(bytes)] => Ok(Segment::Literal(bytes.clone())),
            [Piece::Variable { name, slashes: true }] if encoded => Ok(Segment::Encoded(name.clone())),
            [Piece::Variable { name, slashes: true }] => Ok(Segment::Many(name.clone())),
            [Piece::Variable { name, .. }] => Ok(Segment::One(name.clone())),
            [Piece::Part { name, slice }] => Ok(Segment::Part(name.clone(), *slice)),
            _ => Err(format!("in '{text}' a variable must stand alone between slashes")),
        };
        text.split('/').map(segment).collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Names of the variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Literal(_) | Segment::Part(..) => None,
            Segment::One(name) | Segment::Encoded(name) | Segment::Many(name) => Some(name.as_str()),
        })
    }

    /// Index of the segment that may take several parts of a key.
    pub fn many(&self) -> Option<usize> {
        self.0.iter().position(|segment| matches!(segment, Segment::Many(_)))
    }

    /// Matches the parts of a key; returns the number of parts that [`Segment::Many`] takes (0 without such a segment).
    /// Templates have at most one.
    pub fn fits(&self, parts: &[&[u8]]) -> Option<usize> {
        let Some(at) = self.many() else {
            return (parts.len() == self.0.len() && all_fit(&self.0, parts)).then_some(0);
        };
        let behind = self.0.len() - at - 1;
        let taken = parts.len().checked_sub(at + behind).filter(|taken| *taken > 0)?;
        let fit = all_fit(&self.0[..at], &parts[..at])
            && all_fit(&self.0[at + 1..], &parts[at + taken..])
            && (taken > 1 || !parts[at].is_empty());
        fit.then_some(taken)
    }

    /// Whether a key exists that matches both templates.
    pub fn meets(&self, other: &Self) -> bool {
        meet(&self.0, &other.0)
    }

    /// This template followed by the other one.
    pub fn join(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }
}

fn all_fit(segments: &[Segment], parts: &[&[u8]]) -> bool {
    segments.iter().zip(parts).all(|(segment, part)| match segment {
        Segment::Literal(bytes) => bytes == part,
        _ => !part.is_empty(),
    })
}

/// Computes from the end whether each rest of `a` and each rest of `b` have a common key. Trying all lengths of several
/// long variables would take exponential time.
fn meet(a: &[Segment], b: &[Segment]) -> bool {
    // For the rest of `a` after the current segment: whether it meets each rest of `b`.
    let mut further = vec![false; b.len() + 1];
    further[b.len()] = true;
    for head_a in a.iter().rev() {
        let mut here = vec![false; b.len() + 1];
        for (at, head_b) in b.iter().enumerate().rev() {
            let differ = matches!((head_a, head_b), (Segment::Literal(one), Segment::Literal(other)) if one != other);
            // Consume one part of the key: a long variable ends, or continues.
            let (long_a, long_b) = (matches!(head_a, Segment::Many(_)), matches!(head_b, Segment::Many(_)));
            here[at] = !differ && (further[at + 1] || (long_a && here[at + 1]) || (long_b && further[at]));
        }
        further = here;
    }
    further[0]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text, false).unwrap()
    }

    fn fits(text: &str, key: &str) -> Option<usize> {
        let parts: Vec<&[u8]> = key.split('/').map(str::as_bytes).collect();
        template(text).fits(&parts)
    }

    #[test]
    fn what_fits() {
        assert_eq!(fits("v1/{ns}/x", "v1/a/x"), Some(0));
        assert_eq!(fits("v1/{ns}/x", "v1//x"), None);
        assert_eq!(fits("v1/{ns}", "v1/a/x"), None);
        assert_eq!(fits("a/{n+}/z", "a/b/z"), Some(1));
        assert_eq!(fits("a/{n+}/z", "a/b/c//d/z"), Some(4));
        assert_eq!(fits("a/{n+}", "a/"), None);
        assert_eq!(fits("a/{n+}/z", "a/z"), None);
    }

    #[test]
    fn bad_templates() {
        for text in ["", "a//b", "/a", "a/", "a{b}", "{a", "a}", "{}", "{a b}", "{+}"] {
            assert!(Template::parse(text, false).is_err(), "{text}");
        }
        assert!(Template::parse("{a+}", true).unwrap().meets(&template("b")));
        assert!(!Template::parse("{a+}", true).unwrap().meets(&template("b/c")));
        assert!(Template::parse("a/**", true).unwrap().meets(&template("a/b/c")));
    }

    #[test]
    fn what_meets() {
        for (a, b, expected) in [
            ("a/{x}", "a/b", true),
            ("a/{x}", "a/b/c", false),
            ("a/{x+}", "a/b/c", true),
            ("a/{x+}/c", "a/b/{y+}", true),
            ("a/{x+}/c", "a/{y+}/d", false),
            ("{x+}/m/{y}", "q/{z+}", true),
            ("v1/{ns}/images/{n+}", "v1/{ns}/leases/{n+}", false),
        ] {
            assert_eq!(template(a).meets(&template(b)), expected, "{a} {b}");
            assert_eq!(template(b).meets(&template(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn many_long_variables_take_no_longer() {
        let long = |last: &str| template(&format!("{}{last}", "**/".repeat(300)));
        assert!(!long("a").meets(&long("b")));
        assert!(long("a").meets(&long("{x}")));
    }

    proptest! {
        /// A key that fits both is a proof that they meet.
        #[test]
        fn templates_of_one_key_meet(
            a in proptest::collection::vec(prop_oneof!["a", "b", Just("{x}".to_owned()), Just("{y+}".to_owned())], 1..4),
            b in proptest::collection::vec(prop_oneof!["a", "b", Just("{x}".to_owned()), Just("{y+}".to_owned())], 1..4),
            key in proptest::collection::vec("[ab]", 1..6),
        ) {
            let (a, b) = (template(&a.join("/")), template(&b.join("/")));
            let single = |t: &Template| t.0.iter().filter(|s| matches!(s, Segment::Many(_))).count() <= 1;
            prop_assume!(single(&a) && single(&b));
            let parts: Vec<&[u8]> = key.iter().map(String::as_bytes).collect();
            if a.fits(&parts).is_some() && b.fits(&parts).is_some() {
                prop_assert!(a.meets(&b));
            }
        }

        /// Two templates overlap if and only if an exhaustive search over short keys finds a common key.
        #[test]
        fn templates_that_meet_have_a_key(
            a in proptest::collection::vec(prop_oneof!["a", "b", Just("{x}".to_owned()), Just("{y+}".to_owned())], 1..4),
            b in proptest::collection::vec(prop_oneof!["a", "b", Just("{x}".to_owned()), Just("{y+}".to_owned())], 1..4),
        ) {
            let (a, b) = (template(&a.join("/")), template(&b.join("/")));
            let single = |t: &Template| t.0.iter().filter(|s| matches!(s, Segment::Many(_))).count() <= 1;
            prop_assume!(single(&a) && single(&b));
            let keys = (1..=6).flat_map(|length| (0..1_u32 << length).map(move |bits| (length, bits)));
            let shared = keys.into_iter().any(|(length, bits)| {
                let parts: Vec<&[u8]> =
                    (0..length).map(|at| if bits >> at & 1 == 0 { b"a".as_slice() } else { b"b" }).collect();
                a.fits(&parts).is_some() && b.fits(&parts).is_some()
            });
            prop_assert_eq!(a.meets(&b), shared);
        }
    }
}
