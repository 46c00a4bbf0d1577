//! Sources of settings, and errors in them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A command-line option, by its name (`--endpoints`).
    Flag(&'static str),
    /// An environment variable, by its name.
    Env(&'static str),
    /// The configuration file, and the line counted from 1.
    File(PathBuf, Option<usize>),
    /// The built-in default.
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

/// A value and its source.
#[derive(Clone)]
pub(super) struct Sourced<T> {
    pub value: T,
    pub source: Source,
}

/// An error in a value whose source is not known yet. It never contains a secret.
#[derive(Debug)]
pub(super) struct ValueError {
    pub message: String,
    pub hint: Option<String>,
}

impl ValueError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds the source and the key.
    pub fn at_key(self, origin: &Source, key: &str) -> ConfigError {
        ConfigError {
            origin: Some(origin.clone()),
            key: Some(key.into()),
            message: self.message,
            hint: self.hint,
            warnings: Box::default(),
        }
    }

    /// Adds the source.
    pub fn in_source(self, origin: &Source) -> ConfigError {
        ConfigError {
            origin: Some(origin.clone()),
            key: None,
            message: self.message,
            hint: self.hint,
            warnings: Box::default(),
        }
    }

    /// Makes an error of the whole configuration.
    pub fn without_source(self) -> ConfigError {
        ConfigError { origin: None, key: None, message: self.message, hint: self.hint, warnings: Box::default() }
    }
}

/// A configuration error. Neither message nor hint ever contains a password, a token, or text of the file that could be
/// one.
#[derive(Debug, Error)]
pub struct ConfigError {
    /// The option, variable or file with the error.
    pub origin: Option<Source>,
    /// The key as written in the file.
    pub key: Option<Box<str>>,
    /// The error message.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Warnings about the configuration, which may name the cause.
    pub warnings: Box<[String]>,
}

impl ConfigError {
    /// The file with the error.
    pub fn file(&self) -> Option<&Path> {
        match &self.origin {
            Some(Source::File(path, _)) => Some(path),
            _ => None,
        }
    }

    /// The line in that file, counted from 1.
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

/// The operating system's error message in lower case, without the error number.
pub(super) fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
