//! Compiles regular expressions in bounded memory, and says what is wrong with one that is not valid.

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

/// Limit for a compiled expression, and for the states that a search keeps. An ordinary expression takes a few KiB; repetitions
/// of repetitions such as `(x{1000}){1000}` take gigabytes.
const MAX_REGEX_BYTES: usize = 4 << 20;

/// Why a regular expression cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what}")]
pub struct ExpressionError {
    /// What is wrong, and where.
    pub what: String,
    /// What to do.
    pub hint: Option<&'static str>,
}

/// Compiles a regular expression over bytes.
///
/// # Errors
/// Invalid syntax with its position, or an expression that needs too much memory.
pub fn compile(pattern: &str) -> Result<Regex, ExpressionError> {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
    let syntax = match parser.parse(pattern) {
        Ok(_) => None,
        Err(regex_syntax::Error::Parse(error)) => Some((error.kind().to_string(), error.span().start.offset)),
        Err(regex_syntax::Error::Translate(error)) => Some((error.kind().to_string(), error.span().start.offset)),
        Err(error) => Some((error.to_string(), 0)),
    };
    if let Some((what, offset)) = syntax {
        let at = pattern.get(..offset).map_or(0, |before| before.chars().count()) + 1;
        return Err(ExpressionError {
            what: format!("{what}, at character {at}"),
            hint: Some("escape special characters with a backslash"),
        });
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => ExpressionError {
            what: format!("it needs more than {} MiB, kvadm's limit for a compiled expression", MAX_REGEX_BYTES >> 20),
            hint: Some("use smaller repetitions"),
        },
        error => ExpressionError { what: error.to_string(), hint: None },
    })
}
