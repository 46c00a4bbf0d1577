//! What a message type can hold, with the types of its fields at any depth: most types need no special treatment.

use std::collections::HashSet;

use prost_reflect::{Kind, MessageDescriptor};

/// What is known of all messages of a type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    /// Parsing the JSON of a message gives an equal message, and no message is invalid. There are no types of Google, which
    /// have JSON forms of their own, no floating-point numbers, whose digits may be rounded, and no enums, groups,
    /// extensions, required fields, fields whose names are also those of another field, or types that contain themselves.
    pub is_plain: bool,
}

impl Traits {
    pub(super) fn of(kind: &MessageDescriptor) -> Self {
        Self { is_plain: is_plain_below(kind, &mut Vec::new(), &mut HashSet::new()) }
    }
}

/// `above` are the types that contain this one. A type that contains itself is not plain: its depth has no bound.
fn is_plain_below(kind: &MessageDescriptor, above: &mut Vec<String>, known: &mut HashSet<String>) -> bool {
    /// Objects of Kubernetes have at most 12.
    const MAX_DEPTH: usize = 30;
    let name = kind.full_name();
    if known.contains(name) {
        return true;
    }
    if !is_plain(kind) || above.len() >= MAX_DEPTH || above.iter().any(|outer| outer == name) {
        return false;
    }
    above.push(name.to_owned());
    let mut inner = kind.fields().filter_map(|field| field.kind().as_message().cloned());
    let all = inner.all(|inner| is_plain_below(&inner, above, known));
    above.pop();
    known.insert(name.to_owned());
    all
}

fn is_plain(kind: &MessageDescriptor) -> bool {
    let mut names = HashSet::new();
    kind.package_name() != "google.protobuf"
        && kind.extension_ranges().next().is_none()
        && kind.fields().all(|field| {
            let is_plain = !matches!(field.kind(), Kind::Double | Kind::Float | Kind::Enum(_));
            let is_own = names.insert(field.name().to_owned())
                && (field.json_name() == field.name() || names.insert(field.json_name().to_owned()));
            is_plain && is_own && !field.is_group() && !field.is_required()
        })
}
