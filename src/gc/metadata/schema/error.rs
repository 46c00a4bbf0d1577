//! Errors in a schema, with their position.

use std::fmt;

use thiserror::Error;

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
    /// Texts of the schema that the error concerns, the outermost first; they determine the line.
    pub about: Vec<String>,
}

impl SchemaProblem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { place: Vec::new(), message: message.into(), about: Vec::new() }
    }

    /// Adds the part of the schema that contains the error.
    pub fn within(mut self, place: impl Into<String>) -> Self {
        self.place.insert(0, place.into());
        self
    }

    /// Adds a text that the error concerns.
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about.insert(0, text.into());
        self
    }

    /// Adds the file's name and the line, which is found by searching for each text after the one before.
    pub fn at(self, origin: &str, text: &str) -> SchemaError {
        let lines: Vec<&str> = text.lines().collect();
        let mut line = None;
        let mut from = 0;
        for about in &self.about {
            if let Some(found) = lines[from..].iter().position(|text| text.contains(about.as_str())) {
                from += found;
                line = Some(from + 1);
            }
        }
        SchemaError { origin: origin.to_owned(), line, place: self.place, message: self.message }
    }
}
