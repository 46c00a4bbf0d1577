//! The printed form of an error: lines, or one object in JSON.

use super::record::{Field, Record, Value, always};

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
}

impl Record for ErrorView {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("error", Value::Str(&self.error)));
        visit(always("caused_by", Value::Strings(&self.caused_by)));
        visit(always("hints", Value::Strings(&self.hints)));
        visit(always("exit_code", Value::Uint(self.exit_code.into())));
    }
}
