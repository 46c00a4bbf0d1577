//! Mutations of valid documents for parser tests, and a check of error messages.
//!
//! Random bytes are rejected at the first byte; a valid document with one mutation reaches deep into a parser.

use proptest::prelude::*;
use proptest::sample::Index;

/// Tokens with a meaning in YAML, JSON or templates, and numbers out of range.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    ":",
    ": ",
    ",",
    "\n",
    "\n- ",
    "  ",
    "\t",
    "#",
    "&a ",
    "*a",
    "<<: *a",
    "!t ",
    "!!int ",
    "|\n",
    "---\n",
    "...\n",
    "null",
    "~",
    "true",
    "-1",
    "0",
    "1e999",
    ".nan",
    "0x1f",
    "9223372036854775808",
    "18446744073709551616",
    "{{",
    "}}",
    "{x}",
    "{x+}",
    "/",
    "//",
    "**",
    "..",
    "%2F",
    "%zz",
    "\\",
    "\\u0000",
    "\0",
    "\u{feff}",
    "\u{1b}[2J",
    "é",
    "\u{85}",
];

/// One mutation of a document.
#[derive(Clone, Debug)]
pub struct Damage {
    kind: u8,
    at: Index,
    other: Index,
    byte: u8,
}

/// One to three mutations.
pub fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = (0u8..9, any::<Index>(), any::<Index>(), any::<u8>());
    let one = one.prop_map(|(kind, at, other, byte)| Damage { kind, at, other, byte });
    proptest::collection::vec(one, 1..4)
}

/// Applies the mutations to the document.
pub fn damaged(text: &[u8], damage: &[Damage]) -> Vec<u8> {
    damage.iter().fold(text.to_vec(), |text, one| one.apply(&text))
}

impl Damage {
    fn apply(&self, text: &[u8]) -> Vec<u8> {
        if text.is_empty() {
            return vec![self.byte];
        }
        let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let (line, other) = (self.at.index(lines.len()), self.other.index(lines.len()));
        let (at, end) = (self.at.index(text.len()), self.other.index(text.len()));
        let (from, to) = (at.min(end), at.max(end).min(at.min(end) + 16));
        let token = TOKENS[self.other.index(TOKENS.len())].as_bytes();
        match self.kind {
            0 => drop(lines.remove(line)),
            1 => lines.insert(other, lines[line]),
            2 => lines.swap(line, other),
            3 => return [&text[..at], &[self.byte], &text[at + 1..]].concat(),
            4 => return text[..at].to_vec(),
            5 => return [&text[..from], &text[to..]].concat(),
            6 => return [&text[..at], token, &text[at..]].concat(),
            7 => return [&text[..at], token, &text[word_end(text, at)..]].concat(),
            _ => return [&text[..to], &text[from..to], &text[to..]].concat(),
        }
        lines.concat()
    }
}

/// The end of the word or number that starts at `at`.
fn word_end(text: &[u8], at: usize) -> usize {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
    at + text[at..].iter().take_while(|byte| is_word(byte)).count().max(1)
}

/// Checks that an error message is written for users: not empty, no `Debug` output, no capital letter first, no full
/// stop last.
pub fn check_message(message: &str) -> Result<(), TestCaseError> {
    let debug = [
        "struct ",
        " enum ",
        "Some(",
        "None)",
        "Err(",
        "Ok(",
        "Error {",
        "Error(",
        "InvalidDigit",
        "Utf8Error",
        "DecodeError",
    ];
    prop_assert!(!message.trim().is_empty(), "no message");
    prop_assert!(!debug.iter().any(|form| message.contains(form)), "{message}");
    // A variant's name such as `UnclosedClass`, outside of quotes.
    let is_camel_case = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.as_bytes().windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase())
    };
    let own = message.split(['\'', '"']).step_by(2);
    let named = own.flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric())).any(is_camel_case);
    prop_assert!(!named, "{message}");
    prop_assert!(!message.ends_with('.'), "{message}");
    // An acronym (YAML, HOME) may come first; a capitalized word may not.
    let sentence = matches!(message.as_bytes(), [b'A'..=b'Z', b'a'..=b'z', ..]);
    prop_assert!(!sentence, "{message}");
    Ok(())
}
