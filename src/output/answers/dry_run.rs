//! What a dry run would do, as a record.

use std::io;

use super::{Field, Record, Value, always};
use crate::kvstore::LeaseId;
use crate::output::out::Out;

/// One step that a dry run would do.
#[derive(Default)]
pub struct DryRunRow<'a> {
    /// What would be done, or why nothing would.
    pub outcome: &'static str,
    /// The name of the lock.
    pub name: Option<&'a [u8]>,
    /// The affected key.
    pub key: Option<&'a [u8]>,
    /// The allocator's ID, decimal.
    pub id: Option<&'a str>,
    /// The node of a reference.
    pub node: Option<&'a [u8]>,
    /// The lease.
    pub lease: Option<LeaseId>,
    /// The TTL in seconds.
    pub ttl: Option<i64>,
    /// Why it would fail.
    pub error: Option<&'a str>,
}

impl Record for DryRunRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("outcome", Value::Str(self.outcome)));
        visit(always("name", Value::bytes(self.name)));
        visit(always("key", Value::bytes(self.key)));
        visit(always("id", Value::decimal(self.id)));
        visit(always("node", Value::bytes(self.node)));
        visit(always("lease", Value::lease(self.lease)));
        visit(always("ttl", Value::int(self.ttl)));
        visit(always("error", Value::str(self.error)));
        visit(always("dry_run", Value::Bool(true)));
    }
}

impl Out {
    /// Reports a step of a dry run: a record in JSON and YAML, otherwise a note.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn dry_run(&self, row: &DryRunRow<'_>, text: &str) -> io::Result<()> {
        if self.is_data() {
            return self.one(row);
        }
        self.note(&format!("dry run: {text}"));
        Ok(())
    }
}
