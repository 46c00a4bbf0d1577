//! Selects the keys of a verb that works on many keys.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use globset::{Glob, GlobMatcher};

use crate::args::KeyText;
use crate::error::Failure;
use crate::kvstore::KeyRange;
use crate::output::bytes;
use crate::shell;

/// A range of keys, and a filter on it.
#[derive(Args, Clone, Debug)]
pub struct KeySelection {
    /// First key of the range
    #[arg(long, help_heading = "Which keys", value_name = "KEY")]
    from: Option<OsString>,
    /// End of the range; this key is not included
    #[arg(long, help_heading = "Which keys", value_name = "KEY")]
    to: Option<OsString>,
    /// Append a missing / to the prefix: /a becomes /a/ and does not match /ab
    #[arg(long, help_heading = "Which keys")]
    dir: bool,
    /// Select only keys that match GLOB; * and ? also match /
    #[arg(long = "match", help_heading = "Which keys", value_name = "GLOB")]
    glob: Option<String>,
    #[command(flatten)]
    pub text: KeyText,
}

#[derive(Debug)]
pub struct KeyFilter(GlobMatcher);

impl KeyFilter {
    /// Parses the value of `--match`.
    ///
    /// # Errors
    /// A usage error for an invalid glob.
    pub fn parse(glob: &str) -> Result<Self, Failure> {
        match Glob::new(glob) {
            Ok(glob) => Ok(Self(glob.compile_matcher())),
            Err(error) => Err(Failure::usage(format!("invalid glob in --match '{glob}': {}", error.kind()))),
        }
    }

    pub fn matches(&self, key: &[u8]) -> bool {
        self.0.is_match(OsStr::from_bytes(key))
    }
}

/// The range of a prefix; `dir` appends a missing slash.
pub fn prefix_range(text: KeyText, prefix: &OsStr, dir: bool) -> Result<KeyRange, Failure> {
    let mut prefix = text.bytes(prefix)?;
    if dir && !prefix.is_empty() && !prefix.ends_with(b"/") {
        prefix.push(b'/');
    }
    Ok(KeyRange::prefix(&prefix))
}

/// The range of `--from` and `--to`.
///
/// # Errors
/// A usage error if the range is empty.
pub fn range_between(text: KeyText, from: Option<&OsStr>, to: Option<&OsStr>) -> Result<KeyRange, Failure> {
    let from = text.bytes(from.unwrap_or_default())?;
    let to = to.map(|to| text.bytes(to)).transpose()?;
    let range = KeyRange::between(&from, to.as_deref());
    if range.is_empty() {
        let (from, to) = (bytes::name(&from), bytes::name(&to.unwrap_or_default()));
        return Err(Failure::usage(format!("empty range: --from {from} is not less than --to {to}")));
    }
    Ok(range)
}

impl KeySelection {
    pub fn has_bounds(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// The range of a prefix, or of `--from` and `--to`.
    ///
    /// # Errors
    /// A usage error if both forms are given, or if the range is empty.
    pub fn range(&self, prefix: Option<&OsStr>) -> Result<KeyRange, Failure> {
        if !self.has_bounds() {
            return prefix_range(self.text, prefix.unwrap_or_default(), self.dir);
        }
        if prefix.is_some() {
            return Err(Failure::usage("a prefix cannot be combined with --from or --to")
                .hint("select either a prefix, or a range with --from KEY --to KEY"));
        }
        if self.dir {
            return Err(Failure::usage("--dir applies to a prefix, not to --from and --to")
                .hint("end the bounds with the slash: --from /a/ --to /b/"));
        }
        range_between(self.text, self.from.as_deref(), self.to.as_deref())
    }

    /// What to try if `--match` has selected nothing because it has no wildcard: it must match the whole key.
    pub fn match_hint(&self) -> Option<String> {
        let glob = self.glob.as_deref().filter(|glob| !glob.contains(['*', '?', '[', '{']))?;
        let wider = shell::quote(format!("*{glob}*").as_bytes());
        Some(format!("--match compares the whole key; --match {wider} selects keys that contain '{glob}'"))
    }

    /// The filter, if one was given.
    ///
    /// # Errors
    /// A usage error for an invalid glob.
    pub fn filter(&self) -> Result<Option<KeyFilter>, Failure> {
        self.glob.as_deref().map(KeyFilter::parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::{check_message, damage, damaged};

    fn filter(glob: &str) -> KeyFilter {
        KeyFilter(Glob::new(glob).unwrap_or_else(|e| panic!("{e}")).compile_matcher())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn a_damaged_glob_is_refused_in_words(damage in damage(), key in proptest::collection::vec(any::<u8>(), 0..24)) {
            let glob = String::from_utf8_lossy(&damaged(b"/app/{a,b}*/[!c-e]?/**/x\\*", &damage)).into_owned();
            match KeyFilter::parse(&glob) {
                Err(failure) => check_message(&failure.error.to_string())?,
                Ok(filter) => drop(filter.matches(&key)),
            }
        }

        /// Characters without a special meaning match themselves only.
        #[test]
        fn plain_text_matches_itself(text in "[a-z/\u{e9} .+()^$|#-]{1,12}", more in any::<u8>()) {
            let filter = filter(&text);
            prop_assert!(filter.matches(text.as_bytes()));
            let longer = [text.as_bytes(), &[more]].concat();
            prop_assert!(!filter.matches(&longer) && !filter.matches(&longer[1..]) || longer[1..] == *text.as_bytes());
        }
    }

    #[test]
    fn globs_take_no_longer_than_the_key() {
        let hard = filter(&"*a".repeat(200));
        assert!(!hard.matches(&b"a".repeat(150)) && hard.matches(&b"a".repeat(4_000)));
    }

    #[test]
    fn globs_match_whole_keys_of_any_bytes() {
        assert!(filter("/app/*/mode").matches(b"/app/a/b/mode"));
        assert!(!filter("/app/*").matches(b"x/app/a"));
        assert!(filter("*\u{e9}*").matches("caf\u{e9}s".as_bytes()));
        assert!(filter("k*z").matches(b"k\xff\x00z"));
        assert!(filter("{a,b}?").matches(b"bx") && !filter("[ab]").matches(b"c"));
    }
}
