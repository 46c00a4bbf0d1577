//! Records of `watch`.

use super::decode::DecodeFault;
use super::record::{Field, Record, Tone, Value, always, data};
use crate::kvstore::{KeyValue, Revision};

/// The kind of change of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The key did not exist before.
    Created,
    /// An existing key was written.
    Modified,
    /// The key was deleted.
    Deleted,
}

impl ChangeKind {
    /// The name in all formats.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
        }
    }

    /// The name as a value.
    pub(super) fn value(self) -> Value<'static> {
        let tone = match self {
            Self::Created => Tone::Good,
            Self::Modified => Tone::Warning,
            Self::Deleted => Tone::Bad,
        };
        Value::Word(self.word(), tone)
    }
}

/// One change of one key.
pub struct EventRow<'a> {
    /// When it was received, by this machine's clock, if shown.
    pub time: Option<String>,
    /// The kind of change.
    pub kind: ChangeKind,
    /// The new state of the key; of a deleted key only its name, and the revision of the deletion if known.
    pub kv: &'a KeyValue,
    /// Whether the value is shown.
    pub value: bool,
    /// The previous state of the key, if shown; `Some(None)` if there was none.
    pub prev: Option<Option<&'a KeyValue>>,
}

impl Record for EventRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let kv = self.kv;
        visit_time(self.time.as_deref(), visit);
        visit(always("event", self.kind.value()));
        visit(always("key", Value::Bytes(&kv.key)));
        let deleted = self.kind == ChangeKind::Deleted;
        if self.value {
            visit(always("value", if deleted { Value::Absent } else { Value::Bytes(&kv.value) }));
        }
        if let Some(prev) = self.prev {
            visit(always("prev_value", Value::bytes(prev.map(|prev| prev.value.as_slice()))));
            visit(data("prev_mod_revision", Value::int(prev.map(|prev| prev.mod_revision))));
        }
        // etcd sends 0 for the fields that a deleted key does not have.
        let known = |number: i64| Value::int((number > 0).then_some(number));
        visit(data("create_revision", known(kv.create_revision)));
        visit(data("mod_revision", known(kv.mod_revision)));
        visit(data("version", known(kv.version)));
        visit(data("lease", Value::lease(kv.lease)));
    }
}

/// The time of a record, which only some streams have.
pub(super) fn visit_time<'a>(time: Option<&'a str>, visit: &mut dyn FnMut(Field<'a>)) {
    if let Some(time) = time {
        visit(always("time", Value::Str(time)));
    }
}

/// The end of a watch's listing, or a change of its status.
pub struct StatusRow {
    /// As in [`EventRow`].
    pub time: Option<String>,
    /// `list-done` or `status`.
    pub event: &'static str,
    /// The status.
    pub status: Option<&'static str>,
    /// The revision of the listing.
    pub revision: Option<Revision>,
}

impl Record for StatusRow {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit_time(self.time.as_deref(), visit);
        visit(always("event", Value::Str(self.event)));
        if let Some(status) = self.status {
            let tone = if status == "in-sync" { Tone::Good } else { Tone::Warning };
            visit(always("status", Value::Word(status, tone)));
        }
        visit(data("revision", Value::int(self.revision)));
    }
}

/// An undecodable value of the preceding event.
pub(super) struct FaultRow<'a> {
    /// Why the value cannot be decoded.
    pub fault: &'a DecodeFault,
    /// The event.
    pub record: &'a dyn Record,
}

impl Record for FaultRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("event", Value::Word("error", Tone::Bad)));
        visit(always("key", Value::Bytes(&self.fault.key)));
        visit(always("error", Value::Str(&self.fault.what)));
        visit(data("field", Value::Str(self.fault.field)));
        self.record.fields(&mut |field| {
            if field.name == "mod_revision" {
                visit(field);
            }
        });
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
        (line, String::from_utf8_lossy(&object).into_owned())
    }

    #[test]
    fn events_in_text_and_json() {
        let kv =
            KeyValue { key: b"/a\tb".to_vec(), create_revision: 7, mod_revision: 9, version: 2, ..KeyValue::default() };
        let before = KeyValue { value: b"\xff".to_vec(), mod_revision: 8, ..KeyValue::default() };
        let row = EventRow { time: None, kind: ChangeKind::Modified, kv: &kv, value: true, prev: Some(Some(&before)) };
        let (line, object) = shown(&row);
        assert_eq!(line, "modified\t/a\\tb\t\t\\xff\n");
        let wanted = r#"{"event":"modified","key":"/a\tb","value":"","prev_value_base64":"/w==","prev_mod_revision":8,"create_revision":7,"mod_revision":9,"version":2}"#;
        assert_eq!(object.trim_end(), wanted);
        let gone = KeyValue { key: b"k".to_vec(), mod_revision: 11, ..KeyValue::default() };
        let (line, object) =
            shown(&EventRow { time: None, kind: ChangeKind::Deleted, kv: &gone, value: true, prev: None });
        assert_eq!(
            (line.as_str(), object.trim_end()),
            ("deleted\tk\t\n", r#"{"event":"deleted","key":"k","mod_revision":11}"#)
        );
        let (line, object) =
            shown(&StatusRow { time: None, event: "status", status: Some("in-sync"), revision: Some(3) });
        assert_eq!(
            (line.as_str(), object.trim_end()),
            ("status\tin-sync\n", r#"{"event":"status","status":"in-sync","revision":3}"#)
        );
    }
}
