//! Finds and reads the configuration file.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::env::Env;
use super::error::{ConfigError, Source, ValueError, io_text};
use super::file::MAX_BYTES;
use super::settings::Overrides;
use crate::bounded_file::{self, BoundedFile};

/// The path of the system-wide configuration file.
pub(super) const SYSTEM_FILE: &str = "/etc/kvadm/etcd.yaml";

/// A configuration file and its contents.
pub(super) struct ConfigFile {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// Permission bits of a regular file; `None` for any other kind.
    pub mode: Option<u32>,
    /// Whether the command line names the file (`-c` or `--context`).
    pub named: bool,
}

impl ConfigFile {
    /// Whether the group or others can read the file.
    pub fn is_exposed(&self) -> bool {
        self.mode.is_some_and(|mode| mode & 0o044 != 0)
    }
}

/// Reads the first of: `-c`, `--context`, `ETCD_CONFIG`, `KVADM_CONTEXT`, the user's file, the system-wide file. `None` if
/// no file is named and neither of the last two exists.
pub(super) fn find(
    overrides: &Overrides,
    env: &Env,
    system: &Path,
    warnings: &mut Vec<String>,
) -> Result<Option<ConfigFile>, ConfigError> {
    if let Some(path) = &overrides.config {
        let origin = Source::Flag("--config");
        if overrides.context.is_some() {
            return Err(ValueError::new("cannot be used together with --context").in_source(&origin));
        }
        let found = read(path).map_err(|e| unreadable(path, &e).in_source(&origin))?;
        return Ok(Some(ConfigFile { named: true, ..found }));
    }
    if let Some(name) = &overrides.context {
        let found = context(name, env, &Source::Flag("--context"))?;
        return Ok(Some(ConfigFile { named: true, ..found }));
    }
    let named = env.get("KVADM_CONTEXT");
    if let Some(path) = env.get("ETCD_CONFIG") {
        if named.is_some() {
            warnings.push("env KVADM_CONTEXT is ignored, because ETCD_CONFIG names a file".to_owned());
        }
        return from_etcd_config(Path::new(path), env).map(Some);
    }
    if let Some(name) = named {
        let origin = Source::Env("KVADM_CONTEXT");
        let name = name.to_str().ok_or_else(|| ValueError::new("the name is not UTF-8").in_source(&origin))?;
        return context(name, env, &origin).map(Some);
    }
    let user = user_dir(env).map(|dir| dir.join("etcd.yaml"));
    for path in user.iter().map(PathBuf::as_path).chain([system]) {
        match read(path) {
            Ok(found) => return Ok(Some(found)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(e) => return Err(unreadable(path, &e).without_source()),
        }
    }
    Ok(None)
}

/// The names that `--context` accepts, sorted.
pub fn contexts(env: &Env) -> Vec<String> {
    let Some(entries) = user_dir(env).and_then(|dir| dir.read_dir().ok()) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned))
        .filter(|name| !name.is_empty() && !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

/// Reads `ETCD_CONFIG` like Ligato: the path as given, otherwise inside `CONFIG_DIR`.
fn from_etcd_config(path: &Path, env: &Env) -> Result<ConfigFile, ConfigError> {
    let origin = Source::Env("ETCD_CONFIG");
    match read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let second = Path::new(env.get("CONFIG_DIR").unwrap_or(".".as_ref())).join(path);
            match read(&second) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let missing = unreadable(path, &e);
                    let also = env.get("CONFIG_DIR").map(|_| format!("{} does not exist either", second.display()));
                    Err(ValueError { hint: also, ..missing }.in_source(&origin))
                }
                other => other.map_err(|e| unreadable(&second, &e).in_source(&origin)),
            }
        }
        other => other.map_err(|e| unreadable(path, &e).in_source(&origin)),
    }
}

fn context(name: &str, env: &Env, origin: &Source) -> Result<ConfigFile, ConfigError> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        let problem = ValueError::new(format!("'{}' is not a valid context name", name.escape_debug()));
        return Err(problem
            .hint("a context name has no '/' and no leading '.'; use -c FILE for a file")
            .in_source(origin));
    }
    let Some(dir) = user_dir(env) else {
        return Err(
            ValueError::new("there are no contexts, because HOME and XDG_CONFIG_HOME are not set").in_source(origin)
        );
    };
    let path = dir.join(format!("{name}.yaml"));
    read(&path).map_err(|e| {
        if e.kind() != io::ErrorKind::NotFound {
            return unreadable(&path, &e).in_source(origin);
        }
        let names = contexts(env);
        let hint = match names.is_empty() {
            true => format!("{} contains no contexts", dir.display()),
            false => format!("existing contexts: {}", names.join(", ")),
        };
        ValueError::new(format!("context '{}' not found: {}", name.escape_debug(), path.display()))
            .hint(hint)
            .in_source(origin)
    })
}

/// `$XDG_CONFIG_HOME/kvadm`. A relative `XDG_CONFIG_HOME` counts as unset, as the XDG specification requires.
fn user_dir(env: &Env) -> Option<PathBuf> {
    let xdg = env.get("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let base = xdg.or_else(|| env.get("HOME").map(|home| Path::new(home).join(".config")))?;
    Some(base.join("kvadm"))
}

fn read(path: &Path) -> io::Result<ConfigFile> {
    read_limited(path, MAX_BYTES)
}

/// Reads a whole file or pipe of at most `limit` bytes.
pub(super) fn read_limited(path: &Path, limit: u64) -> io::Result<ConfigFile> {
    let BoundedFile { bytes, metadata } = bounded_file::read(path, limit)?;
    let mode = metadata.is_file().then(|| metadata.permissions().mode());
    Ok(ConfigFile { path: path.to_owned(), bytes, mode, named: false })
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> ValueError {
    ValueError::new(format!("cannot read {}: {}", path.display(), io_text(error)))
}
