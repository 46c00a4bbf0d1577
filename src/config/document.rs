//! The configuration file's keys, found by name in any case, each with its line.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::env::Env;
use super::error::{ConfigError, Source, Sourced, ValueError};
use super::file::{self, ConfigDocument, FileEntry, RawValue};
use super::keys::{self, ValueKind};
use super::locate::ConfigFile;
use super::proto;
use super::settings::ProtoRule;
use super::values::in_file;
use super::yaml::in_time;

/// Number of unknown or repeated keys that are named.
const SHOWN_UNKNOWN: usize = 20;

/// The values of the configuration file; empty without a file.
#[derive(Default)]
pub(super) struct Values {
    path: PathBuf,
    /// Whether the command line names the file (`-c` or `--context`).
    pub named: bool,
    home: Option<PathBuf>,
    /// Known name, value and line.
    entries: Vec<(&'static str, RawValue, Option<usize>)>,
}

/// A path of the file.
#[derive(Clone)]
pub(super) struct FoundPath {
    pub path: PathBuf,
    /// The other path that a relative one could mean, where nothing is.
    pub missing: Option<PathBuf>,
}

impl From<PathBuf> for FoundPath {
    fn from(path: PathBuf) -> Self {
        Self { path, missing: None }
    }
}

/// Messages for the user, collected while loading.
#[derive(Default)]
pub(super) struct Notes {
    pub warnings: Vec<String>,
    /// Warnings that a connection is not secure.
    pub insecure: Vec<String>,
    pub details: Vec<String>,
}

impl Values {
    /// Reads the file. Unknown keys cause warnings, or an error if `strict`.
    pub fn read(found: ConfigFile, env: &Env, strict: bool, notes: &mut Notes) -> Result<Self, ConfigError> {
        let (path, size) = (found.path.clone(), found.bytes.len());
        let home = env.get("HOME").map(PathBuf::from);
        let parsed = in_time(size, move || {
            let mut notes = Notes::default();
            let values = Self::parse(&found, home, strict, &mut notes);
            (values, notes)
        });
        let (values, parsed) =
            parsed.map_err(|error| ValueError::new(error.to_string()).in_source(&Source::File(path, None)))?;
        notes.warnings.extend(parsed.warnings);
        values
    }

    fn parse(found: &ConfigFile, home: Option<PathBuf>, strict: bool, notes: &mut Notes) -> Result<Self, ConfigError> {
        let at = |line| Source::File(found.path.clone(), line);
        let document = file::parse(&found.bytes).map_err(|refused| {
            for name in refused.unknown.iter().take(SHOWN_UNKNOWN) {
                notes.warnings.push(format!("{}: unknown key {}", found.path.display(), suggestion(name)));
            }
            match refused.key {
                Some(key) => refused.problem.at_key(&at(refused.line), &shown(&key)),
                None => refused.problem.in_source(&at(refused.line)),
            }
        })?;
        if document.more {
            notes.warnings.push(format!("{}: only the first YAML document is used", found.path.display()));
        }
        unknown_keys(&document, found, strict, notes)?;
        let written: HashSet<&str> = document.entries.iter().map(|entry| entry.name.as_str()).collect();
        let mut kept: Vec<(&'static str, &FileEntry)> = Vec::new();
        let mut repeated = Vec::new();
        for entry in &document.entries {
            let Some((name, kind)) = keys::known(&entry.name) else { continue };
            if kind == ValueKind::Ignored || matches!(entry.value, RawValue::Null) {
                continue;
            }
            // Like Go's decoder: the exact case wins, otherwise the last key.
            if entry.name != name && written.contains(name) {
                repeated.push((entry, Some(name)));
                continue;
            }
            if let Some(old) = kept.iter().position(|(old, _)| *old == name) {
                kept.remove(old);
                repeated.push((entry, None));
            }
            kept.push((name, entry));
        }
        // Finding a line takes as long as parsing the file.
        for (entry, exact) in repeated.iter().take(SHOWN_UNKNOWN) {
            let (line, written) = (at(document.line(entry)), shown(&entry.name));
            notes.warnings.push(match exact {
                Some(name) => format!("{line}: '{written}' is ignored, because '{name}' is present"),
                None => format!("{line}: '{written}' repeats a key in another case; the last one is used"),
            });
        }
        let entries: Vec<_> =
            kept.into_iter().map(|(name, entry)| (name, entry.value.clone(), document.line(entry))).collect();
        let secret = |name: &str, value: &RawValue| {
            matches!(keys::known(name), Some((_, ValueKind::Secret)))
                && !matches!(value, RawValue::Text(text) if text.is_empty())
        };
        if found.is_exposed() && entries.iter().any(|(name, value, _)| secret(name, value)) {
            notes.warnings.push(exposed(found, "password"));
        }
        Ok(Self { path: found.path.clone(), named: found.named, home, entries })
    }

    fn get<T>(
        &self,
        key: &str,
        read: impl FnOnce(&RawValue) -> Result<T, ValueError>,
    ) -> Result<Option<Sourced<T>>, ConfigError> {
        let Some((_, raw, line)) = self.entries.iter().find(|(name, _, _)| *name == key) else { return Ok(None) };
        let source = Source::File(self.path.clone(), *line);
        let value = read(raw).map_err(|problem| problem.at_key(&source, key))?;
        Ok(Some(Sourced { value, source }))
    }

    /// A string; an empty one counts as absent.
    pub fn text(&self, key: &str) -> Result<Option<Sourced<String>>, ConfigError> {
        Ok(self.get(key, in_file::text)?.filter(|given| !given.value.is_empty()))
    }

    pub fn flag(&self, key: &str) -> Result<Option<Sourced<bool>>, ConfigError> {
        self.get(key, in_file::flag)
    }

    pub fn number(&self, key: &str) -> Result<Option<Sourced<f64>>, ConfigError> {
        self.get(key, in_file::number)
    }

    pub fn max_ops(&self, key: &str) -> Result<Option<Sourced<usize>>, ConfigError> {
        self.get(key, in_file::max_ops)
    }

    /// A list of strings; an empty one counts as absent.
    pub fn texts(&self, key: &str) -> Result<Option<Sourced<Vec<String>>>, ConfigError> {
        Ok(self.get(key, in_file::texts)?.filter(|given| !given.value.is_empty()))
    }

    pub fn duration(&self, key: &str, notes: &mut Notes) -> Result<Option<Sourced<Duration>>, ConfigError> {
        self.time(key, notes, in_file::duration)
    }

    pub fn seconds(&self, key: &str, notes: &mut Notes) -> Result<Option<Sourced<Duration>>, ConfigError> {
        self.time(key, notes, in_file::seconds)
    }

    fn time(
        &self,
        key: &str,
        notes: &mut Notes,
        read: fn(&RawValue, &mut Option<String>) -> Result<Duration, ValueError>,
    ) -> Result<Option<Sourced<Duration>>, ConfigError> {
        let mut warning = None;
        let given = self.get(key, |raw| read(raw, &mut warning))?;
        if let (Some(given), Some(warning)) = (&given, warning) {
            notes.warnings.push(format!("{}: {key}: {warning}", given.source));
        }
        Ok(given)
    }

    /// A path. `~` is the home directory. A relative path starts at the file's directory or, if nothing is there, at the
    /// working directory, as in clientv3 and Ligato.
    pub fn path(&self, key: &str) -> Result<Option<Sourced<FoundPath>>, ConfigError> {
        let Some(given) = self.text(key)? else { return Ok(None) };
        let beside = self.resolve(&given.value).map_err(|problem| problem.at_key(&given.source, key))?;
        let relative = !given.value.starts_with('~') && Path::new(&given.value).is_relative();
        let here = relative.then(|| std::path::absolute(&given.value).ok()).flatten();
        let value = match here.filter(|here| *here != beside && !beside.exists()) {
            Some(here) if here.exists() => FoundPath { path: here, missing: Some(beside) },
            here => FoundPath { path: beside, missing: here },
        };
        Ok(Some(Sourced { value, source: given.source }))
    }

    fn resolve(&self, text: &str) -> Result<PathBuf, ValueError> {
        let beside = self.path.parent().unwrap_or(Path::new(""));
        let Some(rest) = text.strip_prefix('~') else { return Ok(beside.join(text)) };
        let home = self.home.as_ref().ok_or_else(|| ValueError::new("cannot expand '~': HOME is not set"));
        match rest.strip_prefix('/') {
            Some(rest) => Ok(home?.join(rest)),
            None if rest.is_empty() => home.cloned(),
            None => Err(ValueError::new("only '~' and '~/' are supported, not another user's home")),
        }
    }

    /// The `proto` section.
    pub fn proto(&self) -> Result<Option<Sourced<Vec<ProtoRule>>>, ConfigError> {
        self.get("proto", |raw| proto::rules(raw, |text| self.resolve(text)))
    }
}

/// The warning for a file that contains a password or a token and is readable by others.
pub(super) fn exposed(found: &ConfigFile, kind: &str) -> String {
    let (path, mode) = (found.path.display(), found.mode.unwrap_or_default() & 0o777);
    format!("{path} contains a {kind} and is readable by others (mode {mode:03o}): run 'chmod 600 {path}'")
}

/// A key from the file, safe to print and at most 64 characters long.
fn shown(name: &str) -> String {
    let mut text: String = name.chars().take(64).collect::<String>().escape_debug().to_string();
    if text.len() < name.len() && name.chars().count() > 64 {
        text.push('…');
    }
    text
}

/// An unknown key, and the known one that may be meant.
fn suggestion(name: &str) -> String {
    let near = keys::nearest(name).map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
    format!("'{}'{near}", shown(name))
}

fn unknown_keys(
    document: &ConfigDocument<'_>,
    found: &ConfigFile,
    strict: bool,
    notes: &mut Notes,
) -> Result<(), ConfigError> {
    let unknown: Vec<&FileEntry> = document.entries.iter().filter(|entry| keys::known(&entry.name).is_none()).collect();
    for entry in unknown.iter().take(SHOWN_UNKNOWN) {
        let source = Source::File(found.path.clone(), document.line(entry));
        if strict {
            let near = keys::nearest(&entry.name).map(|near| format!("did you mean '{near}'?"));
            let problem = ValueError { message: "unknown key".to_owned(), hint: near };
            return Err(problem.at_key(&source, &shown(&entry.name)));
        }
        notes.warnings.push(format!("{source}: unknown key {}", suggestion(&entry.name)));
    }
    let more = unknown.len().saturating_sub(SHOWN_UNKNOWN);
    if more > 0 {
        notes.warnings.push(format!(
            "{}: {more} more unknown {}",
            found.path.display(),
            if more == 1 { "key" } else { "keys" }
        ));
    }
    Ok(())
}
