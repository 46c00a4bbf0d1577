//! Schemas: the objects of a metadata tree in etcd, which of them are roots, and which refer to which.
//!
//! A schema is a YAML file; unknown keys are errors. The built-in `containerd.yaml` in this directory is an example.
//!
//! ```yaml
//! schema: 1                  # version of the language
//! name: shop                 # for messages and plans
//! encoding: raw              # segments of keys are unencoded; percent: %XX, so that a slash in a name is %2F
//! scope: [tenant]            # variables of keys; references stay within objects with the same values
//! outside-roots: false       # true: some roots are not in etcd; --apply then needs --roots or --roots-complete
//! opaque: ["version"]        # keys that belong to no object and are never removed
//! reserved: [labels/gc.]     # prefixes of fields that must be read by a rule; --check reports others
//! groups:                    # edges shared by several kinds
//!   refs:
//!     - {field: "labels/gc.ref.{kind-of-parcel}", suffix: "/", to: parcel, id: "{kind-of-parcel}/{value}"}
//! kinds:                     # in the order of the sweep
//!   - kind: parcel
//!     key: "{tenant}/parcels/{box}/{name+}"
//!     anchor: createdat
//!     fields: [createdat, parent, "labels/{label+}", "children/{child+}"]
//!     collect: true
//!     root: [{field: labels/gc.root}]
//!     edges:
//!       - {field: parent, to: parcel, id: "{box}/{value}"}
//!       - group: refs
//!     backlinks: [{field: "children/{child+}", of: parcel, id: "{box}/{child}"}]
//! ```
//!
//! **Keys.** `key` is a template below the collected prefix. `fields` are templates below the object's key and must
//! cover all its keys; `.` is the object's own key, `**` anything below. `{name}` is one segment. `{name+}` may contain
//! slashes: with `encoding: raw` it takes one or more segments (at most one such variable per key), and the kind needs
//! an `anchor`, a field that every object has, unless all fields have the same number of segments. A key that could
//! belong to several objects belongs to the one whose anchor exists; if there is not exactly one, the key is reported and
//! nothing is swept. Two kinds whose keys could be equal are an error. The identity of an object consists of its
//! variables except those of the scope, joined by slashes.
//!
//! **Roots.** `always`, `never`, or a list of rules, one of which must apply. `{field: F}`: F exists and is not empty
//! (`empty: true`: may be empty). `{unexpired: F, format: rfc3339|unix|go-binary, missing: root|suspect|no-root,
//! invalid: root|error}`: F is a time that has not passed. `suspect`: an object without F is a root, and `--check`
//! reports it. `error`: a time that is not valid stops the collection.
//!
//! **Edges.** The references of an object. `field` is a pattern: `{x}` captures up to the next slash or to the text
//! that follows in the pattern, `{x+}` also across slashes; `suffix` allows further text: a list of characters, one of
//! which must come first, or `*` for anything. `to: KIND` refers to the object with identity `id` (default `{value}`),
//! composed of captures, the object's own variables, `{value}`, and captures of `value` (a pattern over the value); a
//! capture hides a variable of the same name. `from: KIND` is a back reference: that object keeps this one. `fields:
//! {a: F, b: G}` joins the values of several fields, all of which must exist. An `id` without `{value}` is a member of
//! a set: the key's existence counts; otherwise an empty value is not a reference. `flat: members`: if the object has
//! the kind's `flat` field, the referenced objects are kept flat: none of their edges are followed except those with
//! `flat: through`, which lead to flat objects again. `when: {conditions: C, name: N, field: F, format: …}`: the edge
//! exists if one of the comma-separated conditions `N<DURATION` or `N>DURATION` in capture C holds for the age of F of
//! the referenced object; it does not if F is missing.
//!
//! **Sweeping.** Only kinds with `collect: true` are swept. `may-empty: true`: all objects of the kind may be removed
//! at once. `backlinks`: the field names an object that refers back to this one; it is removed when that object is
//! swept.

mod compile;
mod compiled;
mod document;
mod edges;
mod error;
mod json;
mod names;
mod pattern;
mod possible;
mod template;
#[cfg(test)]
mod tests;
mod text;
#[cfg(test)]
mod wrong;

use crate::config::in_time;

pub use compiled::{EdgeRule, EdgeSource, Kind, KindId, Link, Moment, RootRule, Schema, ValueRule, When};
pub use document::Encoding;
pub use error::SchemaError;
pub use json::parse_document;
pub use pattern::{Captures, Identity, IdentityPart, Pattern};
pub use template::{Segment, Template};

/// The names and texts of the schemas that are built in.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("containerd", include_str!("containerd.yaml")),
    ("containerd-1.7", include_str!("containerd-1.7.yaml")),
    ("containerd-etcd", include_str!("containerd-etcd.yaml")),
];

impl Schema {
    /// Reads a schema; `origin` is its file's name for messages.
    ///
    /// # Errors
    /// Where and what: a key that is not known, keys that could be two kinds', references to nothing, no roots.
    pub fn parse(text: &str, origin: &str) -> Result<Self, SchemaError> {
        let (text, name) = (text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(), origin.to_owned());
        in_time(text.len(), move || compile::compile(&text, &name)).unwrap_or_else(|error| {
            let message = error.to_string();
            Err(SchemaError { origin: origin.to_owned(), line: None, place: Vec::new(), message })
        })
    }

    /// Whether a key, below the prefix, belongs to no object by the schema.
    pub fn is_opaque(&self, key: &[u8]) -> bool {
        let parts: Vec<&[u8]> = key.split(|byte| *byte == b'/').collect();
        self.opaque.iter().any(|template| template.fits(&parts).is_some())
    }

    /// The text of a schema that is built in.
    pub fn built_in(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }
}
