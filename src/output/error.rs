//! The printed form of an error: lines, or one object in JSON.

use super::record::{Field, Record, Value, always};
use crate::kvstore::Revision;

/// The printed form of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorView {
    /// The operation that failed.
    pub error: String,
    /// The causes, the outermost first.
    pub caused_by: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
    /// The exit code.
    pub exit_code: u8,
    /// The condition that did not hold.
    pub condition: Option<FailedCondition>,
}

/// A condition that did not hold, and the present state of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCondition {
    /// `exists`, `missing`, `revision`, `value` or `lock`.
    pub kind: &'static str,
    /// The key that it is about.
    pub key: Vec<u8>,
    /// The revision of the key's last change; `None` if it does not exist, or is not known.
    pub mod_revision: Option<Revision>,
    /// The key's value.
    pub value: Option<Vec<u8>>,
}

impl Record for ErrorView {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("error", Value::Str(&self.error)));
        visit(always("caused_by", Value::Strings(&self.caused_by)));
        visit(always("hints", Value::Strings(&self.hints)));
        visit(always("exit_code", Value::Uint(self.exit_code.into())));
        if let Some(failed) = &self.condition {
            visit(always("condition", Value::Record(failed)));
        }
    }
}

impl Record for FailedCondition {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("kind", Value::Str(self.kind)));
        visit(always("key", Value::Bytes(&self.key)));
        visit(always("mod_revision", Value::int(self.mod_revision)));
        visit(always("value", Value::bytes(self.value.as_deref())));
    }
}
