//! The contract of the JSON output, as data: which records a verb prints on which stream, and which fields they have.
//!
//! kvadm-json(7) and the JSON Schemas in `docs/json-schema/` are generated from it, and the tests compare every JSON object
//! that a test makes kvadm print with it. A name has one type in all records: `names.rs` says which.

mod access;
mod auth_file;
mod cluster;
mod coordination;
mod keys;
mod maintenance;
mod manual;
mod membership;
mod names;
mod schema;
mod spec;
mod verbs;
mod views;

pub use cluster::ERROR;
pub use manual::manual;
pub use names::{NAMES, name};
pub use schema::json_schema;
pub use spec::{FieldSpec, JsonType, NameSpec, Presence, RecordSpec, VerbSpec};
pub use verbs::{VERBS, verb};
