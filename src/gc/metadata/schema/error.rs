//! What is wrong with a schema, and where.

use std::fmt;

use thiserror::Error;

/// Why a schema is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct SchemaError {
    /// The file, or the built-in schema's name.
    pub origin: String,
    /// The line, from 1, as well as it is known.
    pub line: Option<usize>,
    /// The part of the schema, from the outside in: `kind 'lease'`, `edge 2`.
    pub place: Vec<String>,
    /// What is wrong there.
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

/// A complaint on its key_match out to where the file's name and text are known.
#[derive(Debug)]
pub(super) struct SchemaProblem {
    pub place: Vec<String>,
    pub message: String,
    /// Texts of the schema that the complaint is about, the outermost first: they lead to the line.
    pub about: Vec<String>,
}

impl SchemaProblem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { place: Vec::new(), message: message.into(), about: Vec::new() }
    }

    /// Says in which part of the schema it is.
    pub fn within(mut self, place: impl Into<String>) -> Self {
        self.place.insert(0, place.into());
        self
    }

    /// Says which text it is about.
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about.insert(0, text.into());
        self
    }

    /// With the file's name and the line, found by looking for each text behind the one before.
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
