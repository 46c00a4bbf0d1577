//! An error as it is shown: lines, or one object in JSON.

use super::record::{Field, Record, Value, always};

/// An error as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorView {
    /// What was tried.
    pub error: String,
    /// Why it failed, from the outermost cause on.
    pub caused_by: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
    /// What the program ends with.
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
