//! Where a setting came from, and what is wrong with it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A command line option, by its name (`--endpoints`).
    Flag(&'static str),
    /// An environment variable, by its name.
    Env(&'static str),
    /// The configuration file; the line counts from 1.
    File(PathBuf, Option<usize>),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path, Some(line)) => write!(f, "file {}:{line}", path.display()),
            Self::File(path, None) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone)]
pub(super) struct Given<T> {
    pub value: T,
    pub source: Source,
}

/// What is wrong with a value, before it is known whose it is. Never holds a secret.
#[derive(Debug)]
pub(super) struct Problem {
    pub message: String,
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Says that it came from `origin`, and which key it is about.
    pub fn at(self, origin: &Source, key: &str) -> ConfigError {
        ConfigError { origin: Some(origin.clone()), key: Some(key.to_owned()), message: self.message, hint: self.hint }
    }

    /// Says that it came from `origin` as a whole.
    pub fn by(self, origin: &Source) -> ConfigError {
        ConfigError { origin: Some(origin.clone()), key: None, message: self.message, hint: self.hint }
    }

    /// About the configuration as a whole.
    pub fn anywhere(self) -> ConfigError {
        ConfigError { origin: None, key: None, message: self.message, hint: self.hint }
    }
}

/// Why there is no configuration. Neither the message nor the hint ever holds a password, a token, or a piece of the
/// file's text that could be one.
#[derive(Debug, Error)]
pub struct ConfigError {
    /// The flag, variable or file that is to blame.
    pub origin: Option<Source>,
    /// The key, as it is written in the file.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl ConfigError {
    /// The file that is to blame.
    pub fn file(&self) -> Option<&Path> {
        match &self.origin {
            Some(Source::File(path, _)) => Some(path),
            _ => None,
        }
    }

    /// The line in that file, from 1.
    pub fn line(&self) -> Option<usize> {
        match &self.origin {
            Some(Source::File(_, line)) => *line,
            _ => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, &self.key) {
            (Some(Source::File(path, line)), key) => {
                write!(f, "{}:", path.display())?;
                line.map_or(Ok(()), |line| write!(f, "{line}:"))?;
                key.as_ref().map_or(Ok(()), |key| write!(f, " {key}:"))?;
                write!(f, " {}", self.message)
            }
            (Some(origin @ (Source::Flag(_) | Source::Env(_))), _) => write!(f, "{origin}: {}", self.message),
            (_, Some(key)) => write!(f, "{key}: {}", self.message),
            (_, None) => f.write_str(&self.message),
        }
    }
}

/// The operating system's words for an error: lower case, without the number.
pub(super) fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
