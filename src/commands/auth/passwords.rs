//! The passwords of new users: a private file of names with passwords.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::bounded_file::{self, BoundedFile};
use crate::commands::input::cannot_read;
use crate::commands::new_password::check;
use crate::config::document_fault::{DocumentFault, read_document};
use crate::config::document_fields::{must_be, name};
use crate::context::Context;
use crate::error::Failure;
use crate::shell;
use crate::transport::Secret;

/// The largest file of passwords.
const MAX_PASSWORDS_BYTES: u64 = 1 << 20;

/// Passwords by the names of their users.
pub type Passwords = HashMap<String, Secret>;

/// Reads a file of passwords, which nobody else may read.
///
/// # Errors
/// A usage error that quotes nothing but names of users.
pub async fn read_passwords(ctx: &Context, path: &Path) -> Result<Passwords, Failure> {
    let (shown, owned) = (path.display().to_string(), path.to_owned());
    let read = ctx.run_blocking(move || bounded_file::read(&owned, MAX_PASSWORDS_BYTES)).await?;
    let BoundedFile { bytes, metadata } = read.map_err(|error| cannot_read(&shown, &error))?;
    check_mode(path, &metadata)?;
    let read = read_document(&bytes, &shown, |document, _| read_names(document)).map_err(|mut error| {
        // The parser quotes the file.
        if error.message.starts_with("invalid YAML") {
            error.message = "is not valid YAML".to_owned();
            error.hint =
                Some("each line is NAME: PASSWORD; put a password with special characters in single quotes".to_owned());
        }
        error
    })?;
    Ok(read.unwrap_or_default())
}

/// Nobody else may read a regular file. A pipe has no other readers.
fn check_mode(path: &Path, metadata: &Metadata) -> Result<(), Failure> {
    let mode = metadata.permissions().mode();
    if !metadata.is_file() || mode & 0o077 == 0 {
        return Ok(());
    }
    let line = shell::line([b"chmod".as_slice(), b"600", path.as_os_str().as_bytes()]);
    Err(Failure::usage(format!(
        "{} has passwords, and others can read or write it (mode {:04o})",
        path.display(),
        mode & 0o7777
    ))
    .hint(format!("run '{line}', and change passwords that others may have read")))
}

fn read_names(document: &Value) -> Result<Passwords, DocumentFault> {
    let Value::Object(names) = document else {
        return Err(must_be("a mapping of names of users to passwords", document));
    };
    let read = |(user, password): (&String, &Value)| {
        let fault = |fault: DocumentFault| fault.of(&format!("user '{}'", user.escape_debug())).within_key(user);
        if user.is_empty() {
            return Err(DocumentFault::new("a user has an empty name").within_key(user));
        }
        let password = Secret::new(name(password).map_err(fault)?);
        let checked = check(password, "the password");
        Ok((user.clone(), checked.map_err(|failure| fault(DocumentFault::new(failure.one_line())))?))
    };
    names.iter().map(read).collect()
}
