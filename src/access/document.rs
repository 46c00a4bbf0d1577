//! Reads the file of users and roles, strictly.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::state::{AccessState, RolePermissions, canonical, has_no_keys};
use super::words::{ROOT, shown};
use crate::config::document_fault::{DocumentError, DocumentFault, nearest, read_document, unknown_word};
use crate::config::document_fields::{field, flag, mapping, must_be, name, text, word};
use crate::kvstore::{Access, KeyRange};
use crate::output::bytes;

/// The largest file.
pub const MAX_FILE_BYTES: u64 = 4 << 20;
/// The longest name of a user or a role in a message.
const SHOWN_CHARS: usize = 64;

/// The keys of the file. Those that begin with `x-` are for anchors.
pub(super) const FILE_KEYS: [&str; 2] = ["roles", "users"];
const USER_KEYS: [&str; 1] = ["roles"];
const ROLE_KEYS: [&str; 1] = ["permissions"];
const PERMISSION_KEYS: [&str; 7] = ["access", "key", "prefix", "from", "to", "all", "escape"];
/// The words of `access`.
pub(super) const ACCESS_WORDS: [&str; 3] = ["read", "write", "readwrite"];

const ROLE_EXAMPLE: &str = "{permissions: [{access: read, prefix: /app/}]}";
const USER_EXAMPLE: &str = "{roles: [reader]}";
const PERMISSION_EXAMPLE: &str = "{access: read, prefix: /app/}";

/// Reads a file of users and roles.
///
/// # Errors
/// Invalid YAML, unknown keys, wrong types, names that are given twice, a role that the file does not define, a password, or
/// user root without role root.
pub fn parse_access_file(bytes: &[u8], file: &str) -> Result<AccessState, DocumentError> {
    read_document(bytes, file, |document, _| read_file(document))?.ok_or_else(|| DocumentError {
        file: file.to_owned(),
        line: None,
        message: "the file has no users and no roles".to_owned(),
        hint: Some("'kvadm auth export' prints the present ones as such a file".to_owned()),
    })
}

fn read_file(document: &Value) -> Result<AccessState, DocumentFault> {
    let Value::Object(top) = document else {
        return Err(must_be("a mapping with 'roles' and 'users'", document));
    };
    let is_known = |name: &&String| FILE_KEYS.contains(&name.as_str()) || name.starts_with("x-");
    if let Some(unknown) = top.keys().find(|name| !is_known(name)) {
        return Err(refuse_password(unknown).unwrap_or_else(|| {
            let fault = DocumentFault::new(unknown_word("key", unknown, &FILE_KEYS)).within_key(unknown);
            fault.hint("a file has the keys 'roles' and 'users'; 'kvadm auth export' prints one")
        }));
    }
    let roles = read_named(top, "roles", "role", read_role)?;
    let users = read_named(top, "users", "user", read_user)?;
    check_roles(&roles, &users)?;
    let users = users.into_iter().map(|(user, roles)| (user, roles.into_iter().collect())).collect();
    Ok(AccessState { users, roles: roles.into_iter().collect() })
}

/// Reads a mapping of the file. A file without it would remove all that it could name.
fn read_named<'a, T>(
    top: &'a Map<String, Value>,
    key: &str,
    noun: &str,
    read: impl Fn(&'a Value) -> Result<T, DocumentFault>,
) -> Result<Vec<(String, T)>, DocumentFault> {
    let example = if key == "roles" { ROLE_EXAMPLE } else { USER_EXAMPLE };
    let entries = match top.get(key) {
        Some(Value::Object(entries)) => entries,
        Some(other) => {
            let what = format!("a mapping of names such as NAME: {example}");
            return Err(must_be(&what, other).of(key).within_key(key));
        }
        None => {
            return Err(DocumentFault::new(format!("the file has no key '{key}'"))
                .hint(format!("write '{key}: {{}}' if there shall be no {noun}")));
        }
    };
    let mut found = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let entry = match name.is_empty() {
            true => Err(DocumentFault::new(format!("a {noun} has an empty name"))),
            false => read(value).map_err(|fault| fault.of(&format!("{noun} '{}'", short(name)))),
        };
        found.push((name.clone(), entry.map_err(|fault| fault.within_key(name).within_key(key))?));
    }
    Ok(found)
}

/// A name in a message.
fn short(name: &str) -> String {
    let mut text: String = name.chars().take(SHOWN_CHARS).collect();
    if name.chars().count() > SHOWN_CHARS {
        text.push('…');
    }
    shown(&text)
}

/// The fault of a key that is to hold a password.
fn refuse_password(key: &str) -> Option<DocumentFault> {
    let plain = key.to_ascii_lowercase();
    if !(plain.contains("passw") || plain == "pass" || plain == "pwd" || plain == "hash") {
        return None;
    }
    let message = format!("'{}': passwords do not belong in this file, which is to be reviewed and shared", short(key));
    let hint = "remove the key; give the passwords of new users in a private file with --passwords-file";
    Some(DocumentFault::new(message).hint(hint).within_key(key))
}

/// As [`mapping`], but a password gets its own message.
fn entry<'a>(value: &'a Value, known: &[&str], example: &str) -> Result<&'a Map<String, Value>, DocumentFault> {
    if let Some(fault) = value.as_object().and_then(|fields| fields.keys().find_map(|key| refuse_password(key))) {
        return Err(fault);
    }
    mapping(value, known, example)
}

fn list<'a>(fields: &'a Map<String, Value>, key: &str, of: &str) -> Result<&'a [Value], DocumentFault> {
    let read = |value: &'a Value| match value {
        Value::Array(items) => Ok(items.as_slice()),
        other => Err(must_be(&format!("a list of {of}"), other)),
    };
    Ok(field(fields, key, read)?.unwrap_or_default())
}

fn read_user(value: &Value) -> Result<Vec<String>, DocumentFault> {
    let fields = entry(value, &USER_KEYS, USER_EXAMPLE)?;
    let mut known = BTreeSet::new();
    let mut roles = Vec::new();
    for (index, item) in list(fields, "roles", "names of roles")?.iter().enumerate() {
        let role = name(item).and_then(|role| match known.insert(role) {
            true => Ok(role.to_owned()),
            false => Err(DocumentFault::new(format!("the role '{}' is named twice", short(role)))),
        });
        roles.push(role.map_err(|fault| fault.within_item(index).within_key("roles"))?);
    }
    Ok(roles)
}

fn read_role(value: &Value) -> Result<RolePermissions, DocumentFault> {
    let fields = entry(value, &ROLE_KEYS, ROLE_EXAMPLE)?;
    let mut found = RolePermissions::new();
    for (index, item) in list(fields, "permissions", "permissions")?.iter().enumerate() {
        let at = |fault: DocumentFault| fault.within_item(index).within_key("permissions");
        let (range, access) = read_permission(item).map_err(at)?;
        if found.insert(range, access).is_some() {
            let fault = DocumentFault::new("a second permission on the same range would replace the first");
            return Err(at(fault.hint("write one permission with 'access: readwrite'")));
        }
    }
    Ok(found)
}

fn read_permission(value: &Value) -> Result<(KeyRange, Access), DocumentFault> {
    let fields = mapping(value, &PERMISSION_KEYS, PERMISSION_EXAMPLE)?;
    let access = match field(fields, "access", |value| word(value, &ACCESS_WORDS))? {
        Some("read") => Access::Read,
        Some("write") => Access::Write,
        Some(_) => Access::ReadWrite,
        None => {
            return Err(DocumentFault::new("the permission has no 'access'")
                .hint(format!("write 'access: read', write or readwrite, as in {PERMISSION_EXAMPLE}")));
        }
    };
    let escape = field(fields, "escape", flag)?.unwrap_or(false);
    let decode = |text: &str| match escape {
        true => bytes::unescape(text.as_bytes()).map_err(|error| DocumentFault::new(error.to_string())),
        false => Ok(text.as_bytes().to_vec()),
    };
    let not_empty = |value| name(value).and_then(decode);
    let key = field(fields, "key", not_empty)?;
    let prefix = field(fields, "prefix", |value| match text(value)? {
        "" => Err(DocumentFault::new("must not be empty").hint("write 'all: true' for all keys")),
        prefix => decode(prefix),
    })?;
    let from = field(fields, "from", |value| text(value).and_then(decode))?;
    let to = field(fields, "to", not_empty)?;
    let all = field(fields, "all", |value| match value {
        Value::Bool(true) => Ok(()),
        other => Err(must_be("true", other)),
    })?;
    let range = match (key, prefix, from, to, all) {
        (Some(key), None, None, None, None) => KeyRange::key(&key),
        (None, Some(prefix), None, None, None) => KeyRange::prefix(&prefix),
        (None, None, Some(from), to, None) => KeyRange::between(&from, to.as_deref()),
        (None, None, None, None, Some(())) => KeyRange::prefix(b""),
        (None, None, None, Some(_), None) => {
            return Err(DocumentFault::new("'to' needs 'from'").within_key("to"));
        }
        (None, None, None, None, None) => {
            return Err(DocumentFault::new("the permission names no keys")
                .hint("add one of key, prefix, from (with or without to), and all"));
        }
        _ => {
            return Err(
                DocumentFault::new("has more than one of key, prefix, from and all").hint("write several permissions")
            );
        }
    };
    let range = canonical(range);
    if has_no_keys(&range) {
        return Err(DocumentFault::new("the range is empty: 'from' is not less than 'to'").within_key("from"));
    }
    Ok((range, access))
}

/// Users have roles that the file defines, and user root has role root.
fn check_roles(roles: &[(String, RolePermissions)], users: &[(String, Vec<String>)]) -> Result<(), DocumentFault> {
    if roles.iter().any(|(role, _)| role == ROOT) {
        return Err(DocumentFault::new("role 'root' cannot be defined: it may read and write everything, always")
            .hint("remove role 'root' from 'roles'; users may have it")
            .within_key(ROOT)
            .within_key("roles"));
    }
    let known: Vec<&str> = roles.iter().map(|(role, _)| role.as_str()).chain([ROOT]).collect();
    let defined: BTreeSet<&str> = known.iter().copied().collect();
    for (user, granted) in users {
        if let Some(index) = granted.iter().position(|role| !defined.contains(role.as_str())) {
            let role = &granted[index];
            // The candidates are all compared with the word.
            let candidates: &[&str] = if known.len() <= 1_000 { &known } else { &[] };
            let fault = DocumentFault::new(unknown_word("role", role, candidates));
            let fault = match nearest(role, candidates) {
                Some(_) => fault,
                None => fault.hint("define the role below 'roles'"),
            };
            let fault = fault.within_item(index).within_key("roles").of(&format!("user '{}'", short(user)));
            return Err(fault.within_key(user).within_key("users"));
        }
        if user == ROOT && !granted.iter().any(|role| role == ROOT) {
            return Err(DocumentFault::new("user 'root' has no role 'root', which kvadm never takes from it")
                .hint("write 'root: {roles: [root]}', or do not name user root: kvadm keeps it")
                .within_key(ROOT)
                .within_key("users"));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
