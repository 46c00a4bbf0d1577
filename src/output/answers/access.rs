//! Records of `auth`, `user` and `role`.

use super::{Borrowed, Field, Record, Report, Tone, Value, Visibility, always, data};
use crate::kvstore::{KeyRange, Permission, RangeForm};

/// `auth status`.
pub struct AuthStatusAnswer<'a> {
    /// Whether authentication is enabled; `None` if the server cannot tell.
    pub enabled: Option<bool>,
    /// Number of changes of users and roles so far.
    pub auth_revision: Option<u64>,
    /// The user of this command.
    pub user: Option<&'a str>,
    /// `password`, `certificate` or `token`.
    pub login: Option<&'static str>,
    /// Whether the user has the role `root`; `None` if it is not known.
    pub administrator: Option<bool>,
    /// Whether the user `root` exists and has the role `root`; `None` if it is not known.
    pub root_ready: Option<bool>,
}

impl Record for AuthStatusAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let (word, tone) = match self.enabled {
            Some(true) => ("enabled", Tone::Good),
            Some(false) => ("disabled", Tone::Warning),
            None => ("unknown", Tone::Warning),
        };
        let bool = |value: Option<bool>| value.map_or(Value::Absent, Value::Bool);
        visit(always("authentication", Value::Word(word, tone)));
        visit(always("auth_revision", Value::uint(self.auth_revision)));
        visit(always("user", Value::str(self.user)));
        visit(always("login", Value::str(self.login)));
        visit(always("administrator", bool(self.administrator)));
        visit(always("root_ready", bool(self.root_ready)));
    }
}

/// The name of a user.
pub struct UserNameRow<'a>(pub &'a str);

impl Record for UserNameRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("user", Value::Str(self.0)));
    }
}

/// The name of a role.
pub struct RoleNameRow<'a>(pub &'a str);

impl Record for RoleNameRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("role", Value::Str(self.0)));
    }
}

/// The name of a role among several of one user.
pub struct GrantedRoleRow<'a> {
    /// The user.
    pub user: &'a str,
    /// The role; `None` if the user has none.
    pub role: Option<&'a str>,
}

impl Record for GrantedRoleRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("user", Value::Str(self.user)));
        visit(always("role", Value::str(self.role)));
    }
}

/// The columns of a range: the word of its form, and the keys that it needs.
pub struct RangeColumns<'a> {
    /// `key`, `prefix`, `range`, `from` or `all`.
    pub form: &'static str,
    /// The key, the prefix, or the first key.
    pub key: Option<&'a [u8]>,
    /// The end of a `range`.
    pub range_end: Option<&'a [u8]>,
}

impl<'a> RangeColumns<'a> {
    /// The columns of a range.
    pub fn of(range: &'a KeyRange) -> Self {
        let (form, key, range_end) = match RangeForm::of(range) {
            RangeForm::Key(key) => ("key", Some(key), None),
            RangeForm::Prefix(prefix) => ("prefix", Some(prefix), None),
            RangeForm::From(from) => ("from", Some(from), None),
            RangeForm::Between(from, to) => ("range", Some(from), Some(to)),
            RangeForm::Nothing => ("range", Some(&b""[..]), Some(&b""[..])),
            RangeForm::All => ("all", None, None),
        };
        Self { form, key, range_end }
    }

    fn visit(&self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("range", Value::Str(self.form)));
        visit(always("key", Value::bytes(self.key)));
        visit(always("range_end", Value::bytes(self.range_end)));
    }
}

/// A permission of a role.
pub struct PermissionRow<'a> {
    /// The role; `None` if the record around it names the role.
    pub role: Option<&'a str>,
    /// The permission.
    pub permission: &'a Permission,
}

impl Record for PermissionRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        if self.role.is_some() {
            visit(always("role", Value::str(self.role)));
        }
        visit(always("access", Value::Str(self.permission.access.word())));
        RangeColumns::of(&self.permission.range).visit(visit);
    }
}

/// `user show`.
pub struct UserAnswer<'a> {
    /// The user.
    pub user: &'a str,
    /// The names of its roles.
    pub roles: &'a [String],
    /// With `--detail`, what the roles allow.
    pub permissions: Option<Vec<PermissionRow<'a>>>,
}

impl Record for UserAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("user", Value::Str(self.user)));
        visit(always("user_roles", Value::Strings(self.roles)));
        let permissions = self.permissions.as_ref().map(|rows| Value::records(rows.iter()));
        visit(always("permissions", permissions.unwrap_or(Value::Absent)));
    }
}

impl Report for UserAnswer<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        match &self.permissions {
            Some(rows) => Borrowed::all(rows).collect(),
            None if self.roles.is_empty() => vec![Box::new(GrantedRoleRow { user: self.user, role: None })],
            None => {
                let rows = self.roles.iter().map(|role| GrantedRoleRow { user: self.user, role: Some(role) });
                rows.map(|row| Box::new(row) as Box<dyn Record + '_>).collect()
            }
        }
    }
}

/// `role show`.
pub struct RoleAnswer<'a> {
    /// The role.
    pub role: &'a str,
    /// Its permissions.
    pub permissions: Vec<PermissionRow<'a>>,
}

impl Record for RoleAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("role", Value::Str(self.role)));
        visit(always("permissions", Value::records(self.permissions.iter())));
    }
}

impl Report for RoleAnswer<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        Borrowed::all(&self.permissions).collect()
    }
}

/// A change of users, roles or authentication.
pub struct AuthChangeRow<'a> {
    /// The kind of the change: `add-user`, `grant-role` and so on.
    pub change: &'static str,
    /// `applied`, `found-applied`, `unchanged` or `would-apply`.
    pub outcome: &'static str,
    /// The user.
    pub user: Option<&'a str>,
    /// The role.
    pub role: Option<&'a str>,
    /// The access of a permission.
    pub access: Option<&'static str>,
    /// The range of a permission.
    pub range: Option<&'a KeyRange>,
    /// Whether nothing is changed.
    pub dry_run: bool,
}

impl Record for AuthChangeRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let form = self.range.map(RangeColumns::of);
        let form = form.as_ref();
        let columns = [
            ("user", Value::str(self.user)),
            ("role", Value::str(self.role)),
            ("access", Value::str(self.access)),
            ("range", Value::str(form.map(|form| form.form))),
            ("key", Value::bytes(form.and_then(|form| form.key))),
            ("range_end", Value::bytes(form.and_then(|form| form.range_end))),
        ];
        visit(always("change", Value::Str(self.change)));
        visit(always("outcome", Value::Str(self.outcome)));
        // A line of text ends with its last value; a table has all columns.
        let used = columns.iter().rposition(|(_, value)| !matches!(value, Value::Absent)).map_or(0, |last| last + 1);
        for (index, (name, value)) in columns.into_iter().enumerate() {
            let show = if index < used { Visibility::Always } else { Visibility::EveryTable };
            visit(Field { name, value, show });
        }
        visit(data("dry_run", if self.dry_run { Value::Bool(true) } else { Value::Absent }));
    }
}
