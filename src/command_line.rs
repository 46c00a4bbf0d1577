//! Command lines of kvadm in messages, to paste into a shell. They reach the store that the message is about.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::output::bytes;
use crate::shell;

/// A command line of kvadm. Its [`Display`](fmt::Display) form is quoted for a shell.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// kvadm, the options that name the store, and the verb.
    start: Vec<OsString>,
    /// The keys without an option's name.
    operands: Vec<Vec<u8>>,
    options: Vec<LineOption>,
}

/// One word after the keys, or an option with its key.
#[derive(Clone, Debug)]
enum LineOption {
    Plain(Vec<u8>),
    /// An option whose value is a key.
    Key(&'static str, Vec<u8>),
}

impl CommandLine {
    /// Begins a line with the options that name the store, and the words of the verb.
    pub fn new(store_options: &[OsString], verb: &[&str]) -> Self {
        let start = std::iter::once("kvadm".into()).chain(store_options.iter().cloned());
        let start = start.chain(verb.iter().map(OsString::from)).collect();
        Self { start, operands: Vec::new(), options: Vec::new() }
    }

    /// Adds a key.
    #[must_use]
    pub fn key(mut self, key: &[u8]) -> Self {
        self.operands.push(key.to_vec());
        self
    }

    /// Adds an option whose value is a key.
    #[must_use]
    pub fn key_option(mut self, name: &'static str, key: &[u8]) -> Self {
        self.options.push(LineOption::Key(name, key.to_vec()));
        self
    }

    /// Adds words of options.
    #[must_use]
    pub fn words<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        let plain = |word: W| LineOption::Plain(word.into().as_bytes().to_vec());
        self.options.extend(words.into_iter().map(plain));
        self
    }

    /// Adds the path of a file.
    #[must_use]
    pub fn path(self, path: &Path) -> Self {
        self.words([path])
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_nul = |key: &[u8]| key.contains(&0);
        let named = |word: &LineOption| matches!(word, LineOption::Key(_, key) if is_nul(key));
        // No program can be given a NUL byte in an argument.
        let escape = self.operands.iter().any(|key| is_nul(key)) || self.options.iter().any(named);
        let written = |key: &[u8]| if escape { bytes::escape(key).into_bytes() } else { key.to_vec() };
        let operands: Vec<Vec<u8>> = self.operands.iter().map(|key| written(key)).collect();
        // Keys that look like options come last.
        let last = operands.iter().any(|key| key.starts_with(b"-"));
        let mut line: Vec<Vec<u8>> = self.start.iter().map(|word| word.as_bytes().to_vec()).collect();
        line.extend(escape.then(|| b"--escape".to_vec()));
        line.extend(operands.iter().filter(|_| !last).cloned());
        for word in &self.options {
            match word {
                LineOption::Plain(word) => line.push(word.clone()),
                LineOption::Key(name, key) => line.extend(option_words(name, &written(key))),
            }
        }
        line.extend(last.then(|| b"--".to_vec()));
        line.extend(operands.into_iter().filter(|_| last));
        f.write_str(&shell::line(line))
    }
}

/// The words of an option with a value, which are one word if the value looks like an option.
fn option_words(name: &str, value: &[u8]) -> Vec<Vec<u8>> {
    if value.starts_with(b"-") {
        return vec![[name.as_bytes(), b"=", value].concat()];
    }
    vec![name.as_bytes().to_vec(), value.to_vec()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(options: &[&str], verb: &str) -> CommandLine {
        let options: Vec<OsString> = options.iter().map(OsString::from).collect();
        CommandLine::new(&options, &[verb])
    }

    #[test]
    fn keys_come_first_unless_they_look_like_options() {
        let put = |key: &[u8]| line(&["--context", "prod"], "put").key(key).words(["--if-rev", "7"]).to_string();
        assert_eq!(put(b"/a b"), "kvadm --context prod put '/a b' --if-rev 7");
        assert_eq!(put(b"-a"), "kvadm --context prod put --if-rev 7 -- -a");
        assert_eq!(put(b""), "kvadm --context prod put '' --if-rev 7");
        let list = line(&[], "list").key_option("--from", b"a").key_option("--to", b"-b");
        assert_eq!(list.to_string(), "kvadm list --from a --to=-b");
        assert_eq!(line(&[], "restore").path(Path::new("a b")).to_string(), "kvadm restore 'a b'");
    }

    #[test]
    fn a_nul_byte_makes_all_keys_escaped() {
        let get = line(&[], "get").key(b"/a\0b").key(b"/c\\d").to_string();
        assert_eq!(get, "kvadm get --escape '/a\\0b' '/c\\\\d'");
        let list = line(&[], "list").key_option("--from", b"a\\").key_option("--to", b"b\0").to_string();
        assert_eq!(list, "kvadm list --escape --from 'a\\\\' --to 'b\\0'");
        assert_eq!(line(&[], "get").key(b"-\0").to_string(), "kvadm get --escape -- '-\\0'");
        // Without a NUL byte, the shell's own quotes are enough.
        assert_eq!(line(&[], "get").key(b"/a\\0b\n").to_string(), "kvadm get $'/a\\\\0b\\n'");
    }
}
