//! Finds and reads the configuration file.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::env::Env;
use super::error::{ConfigError, Source, ValueError, io_text};
use super::file::MAX_BYTES;
use super::settings::{FileChoice, Overrides};
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
    /// The context, if the file is one.
    pub context: Option<String>,
}

impl ConfigFile {
    /// Whether the group or others can read the file.
    pub fn is_exposed(&self) -> bool {
        self.mode.is_some_and(|mode| mode & 0o044 != 0)
    }
}

/// The file in the configuration folder that names the default context, which `kvadm config use` writes.
pub const CURRENT_CONTEXT: &str = "current-context";

/// Chooses the first of: `-c`, `--context`, `ETCD_CONFIG`, `KVADM_CONTEXT`, the default context, the user's file, the
/// system-wide file. `None` if no file is named and neither of the last two exists.
pub(super) fn choose(overrides: &Overrides, env: &Env, system: &Path) -> Result<Option<FileChoice>, ConfigError> {
    let of = |path: &Path, named_by: Option<Source>| FileChoice { path: path.to_owned(), context: None, named_by };
    if overrides.without_file {
        return Ok(None);
    }
    if let Some(path) = &overrides.config {
        let origin = Source::Flag("--config");
        if overrides.context.is_some() {
            return Err(ValueError::new("cannot be used together with --context").in_source(&origin));
        }
        return Ok(Some(of(path, Some(origin))));
    }
    if let Some(name) = &overrides.context {
        return context(name, env, Some(Source::Flag("--context"))).map(Some);
    }
    if let Some(path) = env.get("ETCD_CONFIG") {
        return Ok(Some(of(Path::new(path), Some(Source::Env("ETCD_CONFIG")))));
    }
    if let Some(name) = env.get("KVADM_CONTEXT") {
        let origin = Source::Env("KVADM_CONTEXT");
        let name = name.to_str().ok_or_else(|| ValueError::new("the name is not UTF-8").in_source(&origin))?;
        return context(name, env, Some(origin)).map(Some);
    }
    if let Some(name) = default_context(env)? {
        return context(&name, env, None).map(Some);
    }
    let user = user_dir(env).map(|dir| dir.join("etcd.yaml"));
    let found = user.iter().map(PathBuf::as_path).chain([system]).find(|path| {
        let missing = |e: &io::Error| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        !std::fs::metadata(path).is_err_and(|e| missing(&e))
    });
    Ok(found.map(|path| of(path, None)))
}

/// Reads the file that [`choose`] chooses.
pub(super) fn find(
    overrides: &Overrides,
    env: &Env,
    system: &Path,
    warnings: &mut Vec<String>,
) -> Result<Option<ConfigFile>, ConfigError> {
    let Some(choice) = choose(overrides, env, system)? else { return Ok(None) };
    let named_by_env = choice.named_by == Some(Source::Env("ETCD_CONFIG"));
    if named_by_env && env.get("KVADM_CONTEXT").is_some() {
        warnings.push("env KVADM_CONTEXT is ignored, because ETCD_CONFIG names a file".to_owned());
    }
    let found = match (&choice.context, &choice.named_by) {
        _ if named_by_env => return from_etcd_config(&choice.path, env).map(Some),
        (Some(name), _) => read(&choice.path).map_err(|e| context_unreadable(name, &choice, env, &e))?,
        (None, Some(origin)) => read(&choice.path).map_err(|e| unreadable(&choice.path, &e).in_source(origin))?,
        (None, None) => read(&choice.path).map_err(|e| unreadable(&choice.path, &e).without_source())?,
    };
    let named = matches!(choice.named_by, Some(Source::Flag(_)));
    Ok(Some(ConfigFile { named, context: choice.context, ..found }))
}

/// The context that `kvadm config use` has made the default.
///
/// # Errors
/// The file that names it cannot be read, or has no name of a context.
pub fn default_context(env: &Env) -> Result<Option<String>, ConfigError> {
    let Some(path) = user_dir(env).map(|dir| dir.join(CURRENT_CONTEXT)) else { return Ok(None) };
    let undo = "run 'kvadm config use NAME' to choose a context, or 'kvadm config use --none'";
    let found = match read(&path) {
        Ok(found) => found,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(unreadable(&path, &e).hint(undo).without_source()),
    };
    let name = String::from_utf8_lossy(&found.bytes).trim().to_owned();
    match check_context_name(&name) {
        Ok(()) => Ok(Some(name)),
        Err(_) => Err(ValueError::new("does not contain the name of a context")
            .hint(undo)
            .in_source(&Source::File(path, None))),
    }
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

/// Checks that a text can be the name of a context.
///
/// # Errors
/// What is wrong with it.
pub fn check_context_name(name: &str) -> Result<(), String> {
    let wrong = name.is_empty() || name.contains('/') || name.starts_with('.') || name.chars().any(char::is_control);
    match wrong {
        true => Err(format!("'{}' is not a valid context name", name.escape_debug())),
        false => Ok(()),
    }
}

fn context(name: &str, env: &Env, named_by: Option<Source>) -> Result<FileChoice, ConfigError> {
    let located = |problem: ValueError| match &named_by {
        Some(origin) => problem.in_source(origin),
        None => problem.without_source(),
    };
    check_context_name(name).map_err(|text| {
        located(ValueError::new(text).hint("a context name has no '/' and no leading '.'; use -c FILE for a file"))
    })?;
    let Some(dir) = user_dir(env) else {
        return Err(located(ValueError::new("there are no contexts, because HOME and XDG_CONFIG_HOME are not set")));
    };
    Ok(FileChoice { path: dir.join(format!("{name}.yaml")), context: Some(name.to_owned()), named_by })
}

fn context_unreadable(name: &str, choice: &FileChoice, env: &Env, error: &io::Error) -> ConfigError {
    let located = |problem: ValueError| match &choice.named_by {
        Some(origin) => problem.in_source(origin),
        None => problem.without_source(),
    };
    if error.kind() != io::ErrorKind::NotFound {
        return located(unreadable(&choice.path, error));
    }
    let names = contexts(env);
    let dir = choice.path.parent().unwrap_or(Path::new("")).display();
    let hint = match (&choice.named_by, names.is_empty()) {
        (None, _) => "'kvadm config use' chose it; run 'kvadm config use --none' to undo that".to_owned(),
        (_, true) => format!("{dir} contains no contexts"),
        (_, false) => format!("existing contexts: {}", names.join(", ")),
    };
    let text = format!("context '{}' not found: {}", name.escape_debug(), choice.path.display());
    located(ValueError::new(text).hint(hint))
}

/// `$XDG_CONFIG_HOME/kvadm`. A relative `XDG_CONFIG_HOME` counts as unset, as the XDG specification requires.
pub fn user_dir(env: &Env) -> Option<PathBuf> {
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
    Ok(ConfigFile { path: path.to_owned(), bytes, mode, named: false, context: None })
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> ValueError {
    ValueError::new(format!("cannot read {}: {}", path.display(), io_text(error)))
}
