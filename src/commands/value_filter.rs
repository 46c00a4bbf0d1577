//! Selects records by their values: `--search` and `--regex`.

use std::ffi::OsString;

use clap::Args;
use memchr::memmem::Finder;
use regex::bytes::Regex;

use crate::args::KeyText;
use crate::error::Failure;
use crate::regular_expression;

/// `--search` and `--regex`.
#[derive(Args, Clone, Debug)]
pub struct ValueArgs {
    /// Select only values that contain TEXT (repeatable: all TEXTs)
    ///
    /// With --escape, TEXT may contain \xNN. Of a protobuf message, the encoded bytes are searched.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Which keys")]
    search: Vec<OsString>,
    /// Select only values that match the regular expression RE
    ///
    /// The syntax is that of the Rust crate regex. Begin RE with (?i) to ignore case, (?m) for ^ and $ at each line, or (?-u)
    /// to match bytes that are not UTF-8, such as \xff. Of a protobuf message, the encoded bytes are searched.
    #[arg(long, value_name = "RE", allow_hyphen_values = true, help_heading = "Which keys")]
    regex: Option<String>,
}

/// The conditions on a value; all must hold.
#[derive(Debug)]
pub struct ValueFilter {
    texts: Vec<Finder<'static>>,
    regex: Option<Regex>,
}

impl ValueArgs {
    /// The filter, if there is a condition.
    ///
    /// # Errors
    /// A usage error for an empty text, an invalid escape, or an invalid regular expression.
    pub fn filter(&self, text: KeyText) -> Result<Option<ValueFilter>, Failure> {
        if self.search.is_empty() && self.regex.is_none() {
            return Ok(None);
        }
        let finder = |wanted: &OsString| {
            let wanted = text.bytes(wanted)?;
            if wanted.is_empty() {
                return Err(Failure::usage("--search: the text is empty, and every value contains it"));
            }
            Ok(Finder::new(&wanted).into_owned())
        };
        let texts = self.search.iter().map(finder).collect::<Result<_, _>>()?;
        Ok(Some(ValueFilter { texts, regex: self.regex.as_deref().map(parse_regex).transpose()? }))
    }
}

impl ValueFilter {
    /// Whether the value has all texts and matches the expression.
    pub fn matches(&self, value: &[u8]) -> bool {
        self.texts.iter().all(|text| text.find(value).is_some())
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(value))
    }
}

fn parse_regex(pattern: &str) -> Result<Regex, Failure> {
    regular_expression::compile(pattern).map_err(|error| {
        let what = error.what;
        let failure =
            Failure::usage(format!("invalid regular expression in --regex '{}': {what}", pattern.escape_debug()));
        match error.hint {
            Some(hint) if hint.starts_with("escape") => failure.hint(format!("{hint}, or use --search for plain text")),
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::{check_message, damage, damaged};

    fn filter(search: &[&[u8]], regex: Option<&str>) -> ValueFilter {
        let search = search.iter().map(|text| OsString::from_vec(text.to_vec())).collect();
        let args = ValueArgs { search, regex: regex.map(str::to_owned) };
        match args.filter(KeyText::default()) {
            Ok(Some(filter)) => filter,
            other => panic!("{other:?}"),
        }
    }

    fn refused(regex: &str) -> String {
        parse_regex(regex).map_or_else(|failure| failure.error.to_string(), |regex| format!("{regex:?}"))
    }

    proptest! {
        #[test]
        fn a_text_is_found_wherever_it_is(
            before in proptest::collection::vec(0u8..3, 0..20),
            text in proptest::collection::vec(0u8..3, 1..4),
        ) {
            let found = before.windows(text.len()).any(|window| window == text);
            let filter = filter(&[&text], None);
            prop_assert_eq!(filter.matches(&before), found);
            let with_text = [&before[..], &text].concat();
            prop_assert!(filter.matches(&with_text));
        }

        #[test]
        fn a_damaged_expression_is_refused_in_words(damage in damage(), value in proptest::collection::vec(any::<u8>(), 0..24)) {
            let pattern = String::from_utf8_lossy(&damaged(b"(?i)^a[b-d]{2,3}(?-u)\\xff|\\p{L}$", &damage)).into_owned();
            match parse_regex(&pattern) {
                Err(failure) => check_message(&failure.error.to_string())?,
                Ok(regex) => drop(regex.is_match(&value)),
            }
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        let all = filter(&[b"a", b"bc", b"\xff"], Some("^.b"));
        assert!(all.matches(b"abc\xff"));
        for value in [&b"abc"[..], b"ab\xffc", b"bc\xff", b"aabc\xff", b""] {
            assert!(!all.matches(value), "{value:?}");
        }
    }

    #[test]
    fn expressions_work_on_bytes() {
        let matches = |regex: &str, value: &[u8]| filter(&[], Some(regex)).matches(value);
        assert!(matches(r"(?-u)^\xff\x00$", b"\xff\x00") && matches(r"\d+", "\u{666}".as_bytes()));
        assert!(matches("(?i)STRASSE", b"Strasse 5") && matches("(?m)^b$", b"a\nb\nc") && !matches("^b$", b"a\nb\nc"));
        assert!(!matches("a.b", b"a\xffb") && matches("(?s-u)a.b", b"a\xffb"));
    }

    #[test]
    fn a_wrong_expression_is_refused_with_its_position() {
        for (regex, what) in [
            ("a(b", "'a(b': unclosed group, at character 2"),
            ("\u{e9}\u{e9}[", "'\u{e9}\u{e9}[': unclosed character class, at character 3"),
            ("*", "'*': repetition operator missing expression, at character 1"),
            ("a\n(", "'a\\n(': unclosed group, at character 3"),
            ("x(?z)", "unrecognized flag, at character 4"),
            ("(?:x{1000}){1000}", "it needs more than 4 MiB"),
        ] {
            assert!(refused(regex).contains(what), "{}", refused(regex));
        }
    }
}
