//! What a watch tells, record by record.

use std::io;

use super::decode::DecodeFault;
use super::out::Out;
use super::record::{Field, Record, Value, always, data};
use super::settings::Format;
use super::sink::Sink;
use crate::kvstore::{KeyValue, Revision};

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was not there before.
    Created,
    /// It was there, and was written again.
    Modified,
    /// It was there, and is not any more.
    Deleted,
}

impl ChangeKind {
    /// The word for it in all formats.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
        }
    }
}

/// One change of one key.
pub struct EventRow<'a> {
    /// What happened.
    pub kind: ChangeKind,
    /// The key as it is now; of a deleted one the key, and the revision of the deletion where that is known.
    pub kv: &'a KeyValue,
    /// Whether its value is shown.
    pub value: bool,
    /// The value before, and whether that is shown.
    pub prev: Option<Option<&'a [u8]>>,
}

impl Record for EventRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let kv = self.kv;
        visit(always("event", Value::Str(self.kind.word())));
        visit(always("key", Value::Bytes(&kv.key)));
        let deleted = self.kind == ChangeKind::Deleted;
        if self.value {
            visit(always("value", if deleted { Value::Absent } else { Value::Bytes(&kv.value) }));
        }
        if let Some(prev) = self.prev {
            visit(always("prev_value", prev.map_or(Value::Absent, Value::Bytes)));
        }
        // etcd sends 0 where a deleted key has none of these.
        let known = |number: i64| Value::int((number > 0).then_some(number));
        visit(data("create_revision", known(kv.create_revision)));
        visit(data("mod_revision", known(kv.mod_revision)));
        visit(data("version", known(kv.version)));
        visit(data("lease", Value::lease(kv.lease)));
    }
}

/// Where a watch stands: the end of its listing, or its status.
pub struct StatusRow {
    /// `list-done` or `status`.
    pub event: &'static str,
    /// Which status.
    pub status: Option<&'static str>,
    /// The revision that was listed.
    pub revision: Option<Revision>,
}

impl Record for StatusRow {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("event", Value::Str(self.event)));
        if let Some(status) = self.status {
            visit(always("status", Value::Str(status)));
        }
        visit(data("revision", Value::int(self.revision)));
    }
}

impl Out {
    /// Writes one record of a stream that goes on for ever: at once, and without a table's columns. In raw, only what
    /// has a value.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn live(&self, record: &dyn Record) -> io::Result<()> {
        let mut valued = false;
        record.fields(&mut |field| valued |= field.name == "value" && !matches!(field.value, Value::Absent));
        if self.shared.format == Format::Raw && !valued {
            return Ok(());
        }
        let Some(translated) = self.translated(record) else { return self.one(record) };
        let mut sink = Sink::plain(self);
        sink.write(&translated)?;
        for fault in &translated.faults {
            match fault.fatal {
                true => sink.write(&FaultRow { fault, record })?,
                false => self.complain(std::slice::from_ref(fault)),
            }
        }
        sink.finish()
    }
}

/// A value of the event before it that is no such message.
struct FaultRow<'a> {
    fault: &'a DecodeFault,
    record: &'a dyn Record,
}

impl Record for FaultRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("event", Value::Str("error")));
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
        let row = EventRow { kind: ChangeKind::Modified, kv: &kv, value: true, prev: Some(Some(b"\xff")) };
        let (line, object) = shown(&row);
        assert_eq!(line, "modified\t/a\\tb\t\t\\xff\n");
        let wanted = r#"{"event":"modified","key":"/a\tb","value":"","prev_value_base64":"/w==","create_revision":7,"mod_revision":9,"version":2}"#;
        assert_eq!(object.trim_end(), wanted);
        let gone = KeyValue { key: b"k".to_vec(), mod_revision: 11, ..KeyValue::default() };
        let (line, object) = shown(&EventRow { kind: ChangeKind::Deleted, kv: &gone, value: true, prev: None });
        assert_eq!(
            (line.as_str(), object.trim_end()),
            ("deleted\tk\t\n", r#"{"event":"deleted","key":"k","mod_revision":11}"#)
        );
        let (line, object) = shown(&StatusRow { event: "status", status: Some("in-sync"), revision: Some(3) });
        assert_eq!(
            (line.as_str(), object.trim_end()),
            ("status\tin-sync\n", r#"{"event":"status","status":"in-sync","revision":3}"#)
        );
    }
}
