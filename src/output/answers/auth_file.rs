//! Records of `auth diff`, `auth apply` and `auth who-can`.

use std::io;

use super::access::PermissionRow;
use super::{Field, Record, Value, always, data};
use crate::output::out::Out;
use crate::output::sanitize::sanitize;

/// The numbers of changes of `auth diff` and `auth apply`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessSummary {
    /// Changes that only add.
    pub additions: usize,
    /// Permissions that are replaced by lesser or other ones.
    pub replacements: usize,
    /// Changes that remove.
    pub removals: usize,
    /// Changes that were made; `None` if none were to be made.
    pub made: Option<usize>,
}

impl Record for AccessSummary {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let count = |number: usize| Value::Uint(number as u64);
        visit(data("additions", count(self.additions)));
        visit(data("replacements", count(self.replacements)));
        visit(data("removals", count(self.removals)));
        visit(data("made", self.made.map_or(Value::Absent, count)));
    }
}

/// `auth who-can`: a user that may access all of the keys.
pub struct WhoCanAnswer<'a> {
    /// The user; `None` if authentication is off, and everyone may.
    pub user: Option<&'a str>,
    /// What it may do with all of the keys.
    pub access: &'static str,
    /// The permissions that allow it, each with its role.
    pub permissions: Option<Vec<PermissionRow<'a>>>,
}

impl Record for WhoCanAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(data("user", Value::str(self.user)));
        visit(data("access", Value::Str(self.access)));
        let permissions = self.permissions.as_ref().map(|rows| Value::records(rows.iter()));
        visit(data("permissions", permissions.unwrap_or(Value::Absent)));
    }
}

/// A line of `auth who-can` for people: a user, and one of the permissions that allow it.
pub struct WhoCanRow<'a> {
    /// The user.
    pub user: &'a str,
    /// What it may do with all of the keys.
    pub access: &'static str,
    /// The role.
    pub role: &'a str,
    /// The permission in words.
    pub permission: &'a str,
}

impl Record for WhoCanRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("user", Value::Str(self.user)));
        visit(always("access", Value::Str(self.access)));
        visit(always("role", Value::Str(self.role)));
        visit(always("permission", Value::Str(self.permission)));
    }
}

impl Out {
    /// Writes a change of users or roles as a line of text: a sign and a sentence.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn access_change_line(&self, sign: char, text: &str) -> io::Result<()> {
        let color = match sign {
            '+' => "32",
            '~' => "33",
            _ => "31",
        };
        let text = match self.shared.terminal {
            true => sanitize(text.as_bytes(), false),
            false => text.into(),
        };
        let line = match self.shared.bold {
            true => format!("\x1b[{color}m{sign} {text}\x1b[0m\n"),
            false => format!("{sign} {text}\n"),
        };
        self.bytes(line.as_bytes())
    }
}
