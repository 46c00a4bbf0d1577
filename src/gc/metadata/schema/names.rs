//! Helpers for names, fields and patterns of a schema document.

use super::super::time_format::TimeFormat;
use super::compiled::Kind;
use super::document::{FormatDoc, KindDoc};
use super::error::SchemaProblem;
use super::pattern::Pattern;
use super::template::{Segment, Template};
use super::text::{Piece, pieces};

pub(super) fn named(doc: &KindDoc) -> String {
    format!("kind '{}'", doc.kind)
}

/// Checks that one of the kind's fields can match the pattern.
pub(super) fn declared(kind: &Kind, pattern: &Pattern, text: &str) -> Result<(), SchemaProblem> {
    let own = kind.own_key && pattern.find(b"").is_some();
    let wanted = if text == "." { Vec::new() } else { pattern.as_templates() };
    if own || wanted.iter().any(|template| has_field(kind, template)) {
        return Ok(());
    }
    Err(SchemaProblem::new(format!("'{text}' is not one of the kind's fields")))
}

/// Checks that the kind has this (decoded) field.
pub(super) fn declared_plainly(kind: &Kind, field: &[u8]) -> Result<(), SchemaProblem> {
    if std::str::from_utf8(field).ok().and_then(|text| pieces(text).ok()).is_some_and(has_variable) {
        let text = String::from_utf8_lossy(field);
        return Err(SchemaProblem::new(format!("'{text}' must be one field, without variables")));
    }
    let segments = field.split(|byte| *byte == b'/').map(|part| Segment::Literal(part.to_vec())).collect();
    if (field.is_empty() && kind.own_key) || has_field(kind, &Template(segments)) {
        return Ok(());
    }
    let text = if field.is_empty() { ".".into() } else { String::from_utf8_lossy(field) };
    Err(SchemaProblem::new(format!("'{text}' is not one of the kind's fields")))
}

fn has_variable(pieces: Vec<Piece>) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Variable { .. }))
}

/// Whether one of the kind's fields, decoded, matches the template.
fn has_field(kind: &Kind, wanted: &Template) -> bool {
    let decoded = |segment: &Segment| match segment {
        Segment::Encoded(name) => Segment::Many(name.clone()),
        other => other.clone(),
    };
    kind.fields.iter().any(|field| wanted.meets(&Template(field.0.iter().map(decoded).collect())))
}

/// The decoded name of a field; empty for the object's own key.
pub(super) fn own(text: &str) -> Vec<u8> {
    if text == "." { Vec::new() } else { text.as_bytes().to_vec() }
}

pub(super) fn pattern(text: &str, suffix: Option<&str>) -> Result<Pattern, SchemaProblem> {
    Pattern::parse(text, suffix).map_err(SchemaProblem::new)
}

pub(super) fn time_format(doc: FormatDoc) -> TimeFormat {
    match doc {
        FormatDoc::Rfc3339 => TimeFormat::Rfc3339,
        FormatDoc::Unix => TimeFormat::Unix,
        FormatDoc::GoBinary => TimeFormat::GoBinary,
    }
}
