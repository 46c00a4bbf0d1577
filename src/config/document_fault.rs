//! What is wrong in a document such as a check file, and where.

use std::fmt;

use serde_json::Value;
use thiserror::Error;

use super::yaml_document::parse_bounded;
use super::yaml_position::{Step, line_of};
use crate::unique_names::UniqueNames;

/// Why a document cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct DocumentError {
    /// The name of the file.
    pub file: String,
    /// The line, from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong, and what may be meant.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// An error before the name of the file is known.
#[derive(Clone, Debug)]
pub struct DocumentFault {
    path: Vec<Step>,
    /// What is wrong.
    pub message: String,
    hint: Option<String>,
}

impl DocumentFault {
    /// An error at the value that is being read.
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into(), hint: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the key whose value has the error.
    #[must_use]
    pub fn within_key(mut self, name: &str) -> Self {
        self.path.insert(0, Step::Key(name.to_owned()));
        self
    }

    /// Adds the index of the list's item that has the error.
    #[must_use]
    pub fn within_item(mut self, index: usize) -> Self {
        self.path.insert(0, Step::Item(index));
        self
    }

    /// Adds what has the error, for the message.
    #[must_use]
    pub fn of(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Adds the file's name and the line.
    pub fn at(self, file: &str, text: &str) -> DocumentError {
        let line = line_of(text, &self.path);
        DocumentError { file: file.to_owned(), line, message: self.message, hint: self.hint }
    }
}

/// Reads the only document of a file; `None` for an empty one. `read` also gets the file's text, in which it finds lines.
///
/// # Errors
/// The file is not UTF-8, its syntax is not valid, or `read` fails.
pub fn read_document<T>(
    bytes: &[u8],
    file: &str,
    read: impl FnOnce(&Value, &str) -> Result<T, DocumentFault>,
) -> Result<Option<T>, DocumentError> {
    let at = |line, message: String| DocumentError { file: file.to_owned(), line, message, hint: None };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let breaks = valid.iter().filter(|byte| **byte == b'\n').count();
        at(Some(breaks.saturating_add(1)), "the file is not UTF-8".to_owned())
    })?;
    // YAML knows neither JSON's escapes of surrogates nor keys of more than 1,024 characters in a flow mapping.
    let document = match serde_json::from_str::<UniqueNames>(text) {
        Ok(document) => Some(document.0).filter(|document| !document.is_null()),
        Err(_) => parse_bounded(text).map_err(|fault| at(fault.line, fault.message))?,
    };
    document.map(|document| read(&document, text).map_err(|fault| fault.at(file, text))).transpose()
}

/// Maximum length of an unknown key in a message.
const SHOWN_CHARS: usize = 64;

/// The message about a word that is none of these, with the one that may be meant.
pub fn unknown_word(what: &str, word: &str, known: &[&str]) -> String {
    let mut shown: String = word.chars().take(SHOWN_CHARS).collect::<String>().escape_debug().to_string();
    if word.chars().count() > SHOWN_CHARS {
        shown.push('…');
    }
    match nearest(word, known) {
        Some(near) => format!("unknown {what} '{shown}'; did you mean '{near}'?"),
        None => format!("unknown {what} '{shown}'"),
    }
}

/// The word closest to a misspelt one.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // The distance costs time in proportion to the length, and no word is this long.
    let plain: String = word.chars().take(SHOWN_CHARS).collect();
    let plain = plain.to_lowercase().replace(['_', ' ', '.'], "-");
    // Two typos, or one in a short word.
    let allowed = if plain.chars().count() < 6 { 1 } else { 2 };
    let squeezed = plain.replace('-', "");
    let distance = |name: &str| {
        if name.replace('-', "") == squeezed { 0 } else { strsim::damerau_levenshtein(name, &plain) }
    };
    let found = known.iter().map(|name| (distance(name), *name)).filter(|(distance, _)| *distance <= allowed).min();
    found.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_has_a_suggestion() {
        let known = ["healthy", "value", "value-matches", "key"];
        assert_eq!(unknown_word("key", "helthy", &known), "unknown key 'helthy'; did you mean 'healthy'?");
        assert_eq!(
            unknown_word("key", "valueMatches", &known),
            "unknown key 'valueMatches'; did you mean 'value-matches'?"
        );
        assert_eq!(unknown_word("key", "other", &known), "unknown key 'other'");
        assert_eq!(unknown_word("key", "\u{1b}[2J", &known), "unknown key '\\u{1b}[2J'");
        assert!(unknown_word("key", &"x".repeat(1_000_000), &known).chars().count() < 100);
    }
}
