//! Records of `allocate get`, `lookup`, `list`, `watch` and `check`. IDs are decimal strings, because JSON numbers lose digits.

use super::answers::KeyNameRow;
use super::event::{ChangeKind, visit_time};
use super::record::{Field, Record, Tone, Value, Visibility, always, data};
use crate::kvstore::{LeaseId, Revision};

/// The store of a record: `None` if only one store was read, `Some(None)` for the current one.
pub type StoreName<'a> = Option<Option<&'a str>>;

/// The store's field. A single result has no such column in text and tables.
fn visit_store<'a>(name: StoreName<'a>, alone: bool, visit: &mut dyn FnMut(Field<'a>)) {
    if alone {
        visit(data("store", Value::str(name.flatten())));
    } else if let Some(name) = name {
        visit(always("store", Value::str(name)));
    }
}

/// The tone of an ID's state.
fn tone_of_state(state: &str) -> Tone {
    match state {
        "in-use" => Tone::Good,
        "duplicate" | "orphan" => Tone::Warning,
        _ => Tone::Neutral,
    }
}

/// `allocate get`: a key's ID.
pub struct AllocationRow<'a> {
    /// The ID.
    pub id: &'a str,
    /// The key.
    pub key: &'a [u8],
    /// Number of nodes that use the ID.
    pub nodes: u64,
    /// `in-use`, `unused` or `leased`.
    pub state: &'static str,
    /// The store that has the allocation.
    pub store: StoreName<'a>,
    /// Whether it is the only result; the text line is then only the ID.
    pub alone: bool,
}

impl Record for AllocationRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let show = if self.alone { Visibility::Data } else { Visibility::Always };
        visit(always("id", Value::Decimal(self.id)));
        visit(Field { name: "key", value: Value::Bytes(self.key), show });
        visit(Field { name: "nodes", value: Value::Uint(self.nodes), show });
        visit(Field { name: "state", value: Value::Word(self.state, tone_of_state(self.state)), show });
        visit_store(self.store, self.alone, visit);
    }
}

/// `allocate lookup`: an ID's key.
pub struct LookupRow<'a> {
    /// The ID.
    pub id: &'a str,
    /// The key.
    pub key: &'a [u8],
    /// The store that has the allocation.
    pub store: StoreName<'a>,
    /// Whether it is the only result; the text line is then only the key.
    pub alone: bool,
}

impl Record for LookupRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let show = if self.alone { Visibility::Data } else { Visibility::Always };
        visit(Field { name: "id", value: Value::Decimal(self.id), show });
        visit(always("key", Value::Bytes(self.key)));
        visit_store(self.store, self.alone, visit);
    }
}

/// A node that refers to an ID.
pub struct NodeRow<'a> {
    /// The node's name.
    pub node: &'a [u8],
    /// The reference's lease; `None` for a permanent reference.
    pub lease: Option<LeaseId>,
    /// The lease's granted and remaining TTL in seconds; `None` if not requested, or if the lease is gone.
    pub time: Option<(i64, i64)>,
}

impl Record for NodeRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("node", Value::Bytes(self.node)));
        visit(data("lease", Value::lease(self.lease)));
        visit(data("ttl", Value::int(self.time.map(|(ttl, _)| ttl))));
        visit(data("left", Value::int(self.time.map(|(_, left)| left))));
    }
}

/// `allocate list`: an ID. JSON and YAML also list the references of its nodes.
pub struct IdRow<'a> {
    /// The ID.
    pub id: &'a str,
    /// The key; empty for a master that names none.
    pub key: &'a [u8],
    /// The nodes that use the ID.
    pub nodes: &'a [NodeRow<'a>],
    /// `in-use`, `unused`, `leased`, `duplicate` or `orphan`.
    pub state: &'static str,
    /// The master's lease, if it has one.
    pub lease: Option<LeaseId>,
    /// Seconds until the last reference expires; `None` if not requested, `Some(None)` without a reference or with a
    /// permanent one.
    pub left: Option<Option<i64>>,
    /// The store of the ID.
    pub store: StoreName<'a>,
}

impl Record for IdRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("id", Value::Decimal(self.id)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("nodes", Value::Uint(self.nodes.len() as u64)));
        visit(always("state", Value::Word(self.state, tone_of_state(self.state))));
        if let Some(left) = self.left {
            visit(always("left", Value::int(left)));
        }
        visit(data("lease", Value::lease(self.lease)));
        visit(data("references", Value::records(self.nodes.iter())));
        visit_store(self.store, false, visit);
    }
}

/// `allocate watch`: a change of an ID.
pub struct AllocationEvent<'a> {
    /// When it was received, by this machine's clock, if shown.
    pub time: Option<String>,
    /// The kind of change.
    pub event: ChangeKind,
    /// The ID.
    pub id: &'a str,
    /// The key; of a deleted ID the last one, `None` if it is unknown.
    pub key: Option<&'a [u8]>,
    /// The previous key of a modified ID.
    pub prev_key: Option<&'a [u8]>,
    /// The revision of the change; `None` for a change that was missed.
    pub revision: Option<Revision>,
}

impl Record for AllocationEvent<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit_time(self.time.as_deref(), visit);
        visit(always("event", self.event.value()));
        visit(always("id", Value::Decimal(self.id)));
        visit(always("key", Value::bytes(self.key)));
        visit(data("prev_key", Value::bytes(self.prev_key)));
        visit(data("mod_revision", Value::int(self.revision)));
    }
}

/// `allocate check`: a problem.
pub struct ProblemRow<'a> {
    /// `error`, `warning` or `info`.
    pub severity: &'static str,
    /// The kind of problem, in one word.
    pub problem: &'static str,
    /// The affected ID.
    pub id: Option<&'a str>,
    /// The affected key.
    pub key: Option<&'a [u8]>,
    /// What the problem means and what to do.
    pub text: &'a str,
    /// What `--repair` would do or did; `None` for nothing.
    pub repair: Option<&'a str>,
    /// The affected etcd keys.
    pub paths: &'a [KeyNameRow<'a>],
}

impl Record for ProblemRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let tone = match self.severity {
            "error" => Tone::Bad,
            "warning" => Tone::Warning,
            _ => Tone::Neutral,
        };
        visit(always("severity", Value::Word(self.severity, tone)));
        visit(always("problem", Value::Str(self.problem)));
        visit(always("id", Value::decimal(self.id)));
        visit(always("key", Value::bytes(self.key)));
        visit(always("text", Value::Str(self.text)));
        visit(always("repair", Value::str(self.repair)));
        visit(data("paths", Value::records(self.paths.iter())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{json, text};

    fn shown(row: &dyn Record) -> (String, String) {
        let (mut line, mut object) = (String::new(), Vec::new());
        text::line(&mut line, row);
        json::line(&mut object, row);
        (line, String::from_utf8_lossy(&object).trim_end().to_owned())
    }

    #[test]
    fn ids_in_text_and_json() {
        let nodes = [
            NodeRow { node: b"n1", lease: Some(LeaseId(0x1f)), time: Some((900, 12)) },
            NodeRow { node: b"\xff", lease: None, time: None },
        ];
        let id = u64::MAX.to_string();
        let row = IdRow { id: &id, key: b"a;", nodes: &nodes, state: "in-use", lease: None, left: None, store: None };
        let (line, object) = shown(&row);
        assert_eq!(line, "18446744073709551615\ta;\t2\tin-use\n");
        let nodes = r#"[{"node":"n1","lease":"1f","ttl":900,"left":12},{"node_base64":"/w=="}]"#;
        let wanted =
            format!(r#"{{"id":"18446744073709551615","key":"a;","nodes":2,"state":"in-use","references":{nodes}}}"#);
        assert_eq!(object, wanted);
        let remote =
            IdRow { nodes: &[], lease: Some(LeaseId(0x1f)), left: Some(None), store: Some(Some("west")), ..row };
        let (line, object) = shown(&remote);
        assert_eq!(line, "18446744073709551615\ta;\t0\tin-use\t\twest\n");
        assert!(object.contains(r#""lease":"1f""#), "{object}");
    }

    #[test]
    fn one_answer_alone_is_a_word() {
        let row = AllocationRow { id: "7", key: b"k", nodes: 1, state: "in-use", store: Some(None), alone: true };
        assert_eq!(shown(&row).0, "7\n");
        assert_eq!(shown(&AllocationRow { alone: false, ..row }).0, "7\tk\t1\tin-use\t\n");
        let row = LookupRow { id: "7", key: b"\xff", store: None, alone: true };
        let (line, object) = shown(&row);
        assert_eq!((line.as_str(), object.as_str()), ("\\xff\n", r#"{"id":"7","key_base64":"/w=="}"#));
    }
}
