//! Parses partially typed shell words and quotes candidates. Pure.

/// Quoting rules of a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// bash and zsh
    Posix,
    /// fish, which has escapes inside single quotes
    Fish,
}

/// The word that is being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Its value after removing quotes and escapes.
    pub value: Vec<u8>,
    /// The quote that is open at its end.
    quote: Option<u8>,
    /// Length of the value before the part that bash replaces.
    kept: usize,
    /// Whether it begins with a tilde that the shell expands.
    tilde: bool,
}

impl Word {
    /// A word that the shell itself has read.
    pub fn plain(value: &[u8]) -> Self {
        Self { value: value.to_vec(), ..Self::default() }
    }

    /// What bash has to put in place of the replaced part; `None` if the candidate does not continue the word or
    /// cannot be quoted.
    pub fn insertion(&self, candidate: &str) -> Option<String> {
        let rest = candidate.as_bytes().strip_prefix(&self.value[..self.kept])?;
        let rest = std::str::from_utf8(rest).ok()?;
        match self.quote {
            Some(b'\'') => Some(rest.replace('\'', r"'\''")),
            // No escape keeps bash's history from replacing a ! inside double quotes.
            Some(_) if rest.contains('!') => None,
            Some(_) => Some(escape(rest, |c| matches!(c, '"' | '$' | '`' | '\\'))),
            None => match rest.strip_prefix('~').filter(|_| self.tilde && self.kept == 0) {
                Some(rest) => Some(format!("~{}", escape(rest, is_special))),
                None => Some(escape(rest, is_special)),
            },
        }
    }
}

fn escape(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Whether a character may mean something to a shell.
fn is_special(c: char) -> bool {
    c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:=@%+,".contains(c)
}

/// Whether a text means itself in every shell.
pub fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:=+".contains(c))
}

/// Reads one word.
pub fn read(raw: &[u8], syntax: Syntax) -> Word {
    let mut reader = Reader { syntax, breaks: b"", ..Reader::default() };
    raw.iter().for_each(|byte| reader.push(*byte));
    reader.word()
}

/// Splits a command line of bash up to the cursor: the words in front, and the one being typed. `None` if the
/// current word is a redirection's file.
pub fn split(line: &[u8], breaks: &[u8]) -> Option<(Vec<Vec<u8>>, Word)> {
    let (mut words, mut redirected) = (Vec::new(), false);
    let fresh = || Reader { breaks, ..Reader::default() };
    let mut reader = fresh();
    for byte in line {
        match byte {
            b' ' | b'\t' | b'\n' if reader.is_bare() => {
                if reader.begun {
                    words.extend((!redirected).then(|| reader.value.clone()));
                    redirected = false;
                }
                reader = fresh();
            }
            b'<' | b'>' if reader.is_bare() => {
                // A file descriptor number may precede the operator.
                if reader.begun && !redirected && !reader.value.iter().all(u8::is_ascii_digit) {
                    words.push(reader.value.clone());
                }
                redirected = true;
                reader = fresh();
            }
            byte => reader.push(*byte),
        }
    }
    (!redirected).then(|| (words, reader.word()))
}

/// Reads a word byte by byte.
struct Reader<'a> {
    syntax: Syntax,
    breaks: &'a [u8],
    value: Vec<u8>,
    begun: bool,
    quote: Option<u8>,
    escaped: bool,
    /// The length of the value where the open quote began, and behind the last break.
    quoted_from: usize,
    broken_at: usize,
    tilde: bool,
}

impl Default for Reader<'_> {
    fn default() -> Self {
        Self {
            syntax: Syntax::Posix,
            breaks: b"",
            value: Vec::new(),
            begun: false,
            quote: None,
            escaped: false,
            quoted_from: 0,
            broken_at: 0,
            tilde: false,
        }
    }
}

impl Reader<'_> {
    fn is_bare(&self) -> bool {
        self.quote.is_none() && !self.escaped
    }

    fn push(&mut self, byte: u8) {
        self.tilde |= !self.begun && byte == b'~';
        self.begun = true;
        if std::mem::take(&mut self.escaped) {
            let kept_backslash = match (self.syntax, self.quote) {
                (_, None) => false,
                (Syntax::Posix, _) => !matches!(byte, b'"' | b'$' | b'`' | b'\\'),
                (Syntax::Fish, Some(b'\'')) => !matches!(byte, b'\'' | b'\\'),
                (Syntax::Fish, _) => !matches!(byte, b'"' | b'$' | b'\\'),
            };
            self.value.extend(kept_backslash.then_some(b'\\'));
            self.value.push(byte);
            return;
        }
        let escapes = self.syntax == Syntax::Fish || self.quote != Some(b'\'');
        match (byte, self.quote) {
            (b'\\', _) if escapes => self.escaped = true,
            (b'\'' | b'"', None) => {
                self.quote = Some(byte);
                self.quoted_from = self.value.len();
            }
            (byte, Some(quote)) if byte == quote => self.quote = None,
            (byte, quote) => {
                self.value.push(byte);
                if quote.is_none() && self.breaks.contains(&byte) {
                    self.broken_at = self.value.len();
                }
            }
        }
    }

    fn word(self) -> Word {
        let kept = if self.quote.is_some() { self.quoted_from } else { self.broken_at };
        Word { value: self.value, quote: self.quote, kept, tilde: self.tilde }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BREAKS: &[u8] = b" \t\n\"'@><=;|&(:";

    fn current(line: &str) -> Option<(Vec<String>, Word)> {
        let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
        split(line.as_bytes(), BREAKS).map(|(words, word)| (words.iter().map(text).collect(), word))
    }

    fn inserted(line: &str, candidate: &str) -> Option<String> {
        current(line).and_then(|(_, word)| word.insertion(candidate))
    }

    #[test]
    fn lines_are_split_as_bash_does() {
        let words =
            |line: &str| current(line).map(|(words, word)| (words, String::from_utf8_lossy(&word.value).into()));
        let line =
            |words: &[&str], word: &str| Some((words.iter().map(|w| (*w).to_owned()).collect(), word.to_owned()));
        assert_eq!(words("kvadm get /a"), line(&["kvadm", "get"], "/a"));
        assert_eq!(words("kvadm  get "), line(&["kvadm", "get"], ""));
        assert_eq!(words(r#"kvadm get '' "a b" c\ d 'x"#), line(&["kvadm", "get", "", "a b", "c d"], "x"));
        assert_eq!(words(r#"kvadm get "a\$b\c"#), line(&["kvadm", "get"], r"a$b\c"));
        assert_eq!(words(r"kvadm get 'a\b"), line(&["kvadm", "get"], r"a\b"));
        assert_eq!(words("kvadm list 2>/dev/null >x /a"), line(&["kvadm", "list"], "/a"));
        assert_eq!(words("kvadm list /a > fi"), None);
        assert_eq!(words("kvadm list /a >"), None);
    }

    #[test]
    fn what_stands_behind_a_break_is_inserted() {
        assert_eq!(inserted("kvadm get /a:b", "/a:b=c"), Some("b=c".to_owned()));
        assert_eq!(inserted("kvadm get /a:b=", "/a:b=d e"), Some(r"d\ e".to_owned()));
        assert_eq!(inserted("kvadm get '/a:b", "/a:b c"), Some("/a:b c".to_owned()));
        assert_eq!(inserted(r"kvadm get /a\:b", "/a:bc"), Some("/a:bc".to_owned()));
        assert_eq!(inserted("kvadm get x\"/a", "x/a b"), Some("/a b".to_owned()));
        assert_eq!(inserted("kvadm -c ~/e", "~/etcd conf"), Some(r"~/etcd\ conf".to_owned()));
        assert_eq!(inserted("kvadm get ", "~root"), Some(r"\~root".to_owned()));
        assert_eq!(inserted("kvadm get \"a", "a!b"), None);
        assert_eq!(inserted("kvadm get a:", "b"), None);
    }

    #[test]
    fn fish_has_escapes_in_single_quotes() {
        let value = |raw: &str| String::from_utf8_lossy(&read(raw.as_bytes(), Syntax::Fish).value).into_owned();
        assert_eq!(value(r"'a\'b\c"), r"a'b\c");
        assert_eq!(value(r#""a\$b\c"#), r"a$b\c");
        assert_eq!(value(r"a\ b"), "a b");
    }

    proptest! {
        /// What is inserted means the candidate, in every state of quoting.
        #[test]
        fn an_insertion_reads_back(candidate in "[ -~\u{e9}]{1,16}", quote in prop::sample::select(vec!["", "'", "\""])) {
            let line = format!("kvadm get {quote}");
            if let Some(text) = inserted(&line, &candidate) {
                let whole = format!("{line}{text}{quote} x");
                let (words, _) = current(&whole).unwrap_or_default();
                prop_assert_eq!(words.get(2), Some(&candidate), "{}", whole);
            } else {
                prop_assert!(candidate.contains('!'));
            }
        }
    }
}
