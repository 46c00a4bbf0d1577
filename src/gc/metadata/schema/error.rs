//! Errors in a schema, with their position.

use std::fmt;

use thiserror::Error;

use crate::config::{Step, line_of};

/// Why a schema is not valid.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct SchemaError {
    /// The file, or the name of the built-in schema.
    pub origin: String,
    /// The line, from 1, if it could be determined.
    pub line: Option<usize>,
    /// Parts of the schema, the outermost first: `kind 'lease'`, `edge 2`.
    pub place: Vec<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.origin)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        for place in &self.place {
            write!(f, " {place}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// An error before the file's name and text are known.
#[derive(Debug)]
pub(super) struct SchemaProblem {
    pub place: Vec<String>,
    pub message: String,
    /// Where the error is in the document, from the outermost part that is known so far.
    path: Vec<Step>,
    /// Whether `path` starts at the top of the document.
    complete: bool,
}

impl SchemaProblem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { place: Vec::new(), message: message.into(), path: Vec::new(), complete: false }
    }

    /// Adds the part of the schema that contains the error, for the message.
    pub fn within(mut self, place: impl Into<String>) -> Self {
        self.place.insert(0, place.into());
        self
    }

    /// Adds the key whose value contains the error.
    pub fn key(self, name: impl Into<String>) -> Self {
        self.step(Step::Key(name.into()))
    }

    /// Adds the index, from 0, of the list's item that contains the error.
    pub fn item(self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    fn step(mut self, step: Step) -> Self {
        if !self.complete {
            self.path.insert(0, step);
        }
        self
    }

    /// Declares that the path starts at the top of the document: steps that are added later do not count.
    pub fn at_top_level(mut self) -> Self {
        self.complete = true;
        self
    }

    /// Adds the file's name and the line.
    pub fn at(self, origin: &str, text: &str) -> SchemaError {
        let line = line_of(text, &self.path);
        SchemaError { origin: origin.to_owned(), line, place: self.place, message: self.message }
    }
}
