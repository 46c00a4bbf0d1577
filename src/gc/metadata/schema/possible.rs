//! Checks that the identity which an edge composes can be that of an object.

use super::compiled::Kind;
use super::pattern::{Identity, IdentityPart};
use super::template::Segment;
use crate::plural::counted;

/// How many segments, separated by slashes, a variable can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Exactly one.
    One,
    /// One or more.
    Several,
}

/// Checks that an object of this kind can have the identity.
///
/// # Errors
/// Why none can.
pub(super) fn check_identity(
    kind: &Kind,
    text: &str,
    identity: &Identity,
    reach: impl Fn(&IdentityPart) -> Reach,
) -> Result<(), String> {
    let own = kind.scoped.iter().filter(|scoped| !**scoped).count();
    if own == 0 {
        let only = format!("the key of kind '{}' has no variable outside the scope: the id must be \"\"", kind.name);
        return if identity.0.is_empty() { Ok(()) } else { Err(only) };
    }
    if identity.0.is_empty() {
        return Err("the id is empty, so the edge can never match".to_owned());
    }
    let long = kind.key.0.iter().any(|segment| matches!(segment, Segment::Many(_) | Segment::Encoded(_)));
    let slashes = |part: &IdentityPart| match part {
        IdentityPart::Literal(bytes) => bytes.iter().filter(|byte| **byte == b'/').count(),
        _ => 0,
    };
    let least = 1 + identity.0.iter().map(slashes).sum::<usize>();
    let open = identity.0.iter().any(|part| !matches!(part, IdentityPart::Literal(_)) && reach(part) == Reach::Several);
    if (least > own && !long) || (least < own && !open) {
        return Err(format!(
            "'{text}' can never match: it has {}{}, and the identity of kind '{}' has {own}{}",
            counted(least, "segment"),
            if open { " or more" } else { "" },
            kind.name,
            if long { " or more" } else { "" }
        ));
    }
    if !long && has_empty_segment(identity) {
        return Err(format!("'{text}' can never match: it has an empty segment"));
    }
    Ok(())
}

/// Whether a slash stands at an end or beside another one.
fn has_empty_segment(identity: &Identity) -> bool {
    let literal = |part: Option<&IdentityPart>| match part {
        Some(IdentityPart::Literal(bytes)) => bytes.clone(),
        _ => Vec::new(),
    };
    let double = identity.0.iter().any(|part| literal(Some(part)).windows(2).any(|pair| pair == b"//"));
    double || literal(identity.0.first()).starts_with(b"/") || literal(identity.0.last()).ends_with(b"/")
}
