//! Output of `config list`, `config init` and `config use`.

use super::{Field, Record, Value, always, data};

/// A context, or another configuration file that is in use.
#[derive(Default)]
pub struct ContextRow<'a> {
    /// The context; `None` for a file that is none.
    pub context: Option<&'a str>,
    /// Why the file is in use; `None` if it is not.
    pub chosen_by: Option<&'a str>,
    /// The endpoints that the file names.
    pub endpoints: &'a [String],
    /// The user.
    pub user: Option<&'a str>,
    /// Whether an endpoint has TLS.
    pub tls: Option<bool>,
    /// The file.
    pub file: &'a str,
    /// Why the file cannot be used.
    pub error: Option<&'a str>,
}

impl Record for ContextRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("context", Value::str(self.context)));
        visit(always("chosen_by", Value::str(self.chosen_by)));
        visit(always("endpoints", Value::Strings(self.endpoints)));
        visit(always("user", Value::str(self.user)));
        visit(always("tls", self.tls.map_or(Value::Absent, Value::Bool)));
        visit(always("file", Value::Str(self.file)));
        visit(always("error", Value::str(self.error)));
    }
}

/// The default context after `config use`.
pub struct ChosenContext<'a> {
    /// The default context; `None` for none.
    pub context: Option<&'a str>,
    /// The one before.
    pub previous: Option<&'a str>,
    /// Whether nothing was written.
    pub dry_run: bool,
}

impl Record for ChosenContext<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("context", Value::str(self.context)));
        visit(data("previous", Value::str(self.previous)));
        visit(data("dry_run", if self.dry_run { Value::Bool(true) } else { Value::Absent }));
    }
}

/// A context that `config init` has written.
pub struct NewContextRow<'a> {
    /// The context.
    pub context: &'a str,
    /// Its endpoints.
    pub endpoints: &'a [String],
    /// Its file.
    pub file: &'a str,
    /// Whether nothing was written.
    pub dry_run: bool,
}

impl Record for NewContextRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("context", Value::Str(self.context)));
        visit(always("endpoints", Value::Strings(self.endpoints)));
        visit(always("file", Value::Str(self.file)));
        visit(data("dry_run", if self.dry_run { Value::Bool(true) } else { Value::Absent }));
    }
}
