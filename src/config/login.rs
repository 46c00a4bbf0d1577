//! The user and the password.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::document::exposed;
use super::error::{ConfigError, Source, Sourced, ValueError};
use super::keys;
use super::layers::Layers;
use super::locate::{read_limited, unreadable};
use super::settings::Overrides;
use super::values::in_env;
use crate::transport::{Credentials, Secret};

/// Maximum size of a password file.
const MAX_PASSWORD: u64 = 64 << 10;

/// The user and the password, each from its source with the highest precedence.
pub(super) fn credentials(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<Option<Credentials>, ConfigError> {
    let (user, embedded) = user(layers, overrides)?;
    let password = password(layers, overrides, embedded)?;
    layers.record_given(&keys::USERNAME, user.as_ref(), Clone::clone);
    layers.record_given(&keys::PASSWORD, password.as_ref(), ToString::to_string);
    match (user, password) {
        (Some(user), Some(password)) => Ok(Some(Credentials { user: user.value, password: password.value })),
        (Some(user), None) => Err(ValueError::new(format!("user '{}' has no password", user.value.escape_debug()))
            .hint("add --password-file FILE, set KVADM_PASSWORD, or set 'password' in the configuration file")
            .at_key(&user.source, "username")),
        (None, Some(password)) => {
            layers.warn(format!("the password from {} is ignored, because no user is set", password.source));
            Ok(None)
        }
        (None, None) => Ok(None),
    }
}

type User = Option<Sourced<String>>;
type Password = Option<Sourced<Secret>>;

/// The user name, and the password that `ETCDCTL_USER` may contain.
fn user(layers: &Layers<'_>, overrides: &Overrides) -> Result<(User, Password), ConfigError> {
    let file = layers.values.text(keys::USERNAME.name)?;
    let chosen = layers.choose(&keys::USERNAME, overrides.user.clone(), file, in_env::text)?;
    let Some(given) = chosen else { return Ok((None, None)) };
    let split = given.value.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()));
    let (given, embedded) = match (given.source.clone(), split) {
        // A file has a key for the password, so that a ':' in `username` can only be part of the name.
        (Source::File(..), _) | (_, None) => (given, None),
        (source @ Source::Env("ETCDCTL_USER"), Some((name, password))) => {
            let password = Some(password).filter(|password| !password.is_empty());
            let password = password.map(|text| Sourced { value: Secret::new(text), source: source.clone() });
            (Sourced { value: name, source }, password)
        }
        (source, Some(_)) => {
            let problem = ValueError::new("'NAME:PASSWORD' is not accepted here; give only the name");
            return Err(problem.hint("add --password-file FILE, or set KVADM_PASSWORD").in_source(&source));
        }
    };
    if given.value.is_empty() {
        return Err(ValueError::new("the user name is empty").in_source(&given.source));
    }
    Ok((Some(given), embedded))
}

fn password(layers: &mut Layers<'_>, overrides: &Overrides, embedded: Password) -> Result<Password, ConfigError> {
    let read = |value: &OsStr| in_env::text(value).map(Secret::new);
    let file = layers.values.text(keys::PASSWORD.name)?;
    let file = file.map(|given| Sourced { value: Secret::new(given.value), source: given.source });
    let path = layers.choose(&keys::PASSWORD_FILE, overrides.password_file.clone(), None, in_env::path)?;
    layers.record_given(&keys::PASSWORD_FILE, path.as_ref(), |path: &PathBuf| path.display().to_string());
    if let Some(path) = path {
        let value = from_file(layers, &path.value).map_err(|problem| problem.in_source(&path.source))?;
        return Ok(Some(Sourced { value, source: path.source }));
    }
    let chosen = layers.choose(&keys::PASSWORD, None, file, read)?;
    Ok(chosen.or(embedded))
}

/// The password in a file, without a trailing line break.
fn from_file(layers: &mut Layers<'_>, path: &Path) -> Result<Secret, ValueError> {
    let found = read_limited(path, MAX_PASSWORD).map_err(|e| unreadable(path, &e))?;
    let wrong = |what| ValueError::new(format!("the password in {} {what}", path.display()));
    let text = std::str::from_utf8(&found.bytes).map_err(|_| wrong("is not UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err(wrong("is empty"));
    }
    if found.is_exposed() {
        layers.warn(exposed(&found));
    }
    Ok(Secret::new(text))
}
