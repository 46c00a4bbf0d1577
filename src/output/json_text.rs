//! Formats JSON text. The tokens stay as they are written: a number of any size keeps its digits, a string its escapes.

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::unique_names::UniqueNames;

/// The text of one JSON object or array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonText<'a>(&'a str);

/// Where an object or array of one line has spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineStyle {
    /// After each comma.
    pub after_commas: bool,
    /// After each colon.
    pub after_colons: bool,
}

/// Whether the bytes follow the grammar of JSON. This includes what [`JsonText::parse`] does not accept: scalars, names that
/// are given twice, numbers of any size, and halves of surrogate pairs.
pub fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

impl<'a> JsonText<'a> {
    /// The bytes as JSON text, if they are one object or array in which each mapping has each name once.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let UniqueNames(value) = serde_json::from_slice(bytes).ok()?;
        matches!(value, Value::Object(_) | Value::Array(_)).then_some(Self(text))
    }

    /// One line for each item, indented by two spaces for each level; without a newline at the end.
    pub fn pretty(self) -> String {
        pretty(Tokens(self.0))
    }

    /// Everything on one line.
    pub fn one_line(self, style: LineStyle) -> String {
        let mut out = String::with_capacity(self.0.len());
        for token in Tokens(self.0) {
            out.push_str(token);
            if (style.after_commas && token == ",") || (style.after_colons && token == ":") {
                out.push(' ');
            }
        }
        out
    }

    /// The style of a text on one line: where most commas and most colons have a space.
    pub fn line_style(self) -> LineStyle {
        let mut tokens = Tokens(self.0);
        let (mut commas, mut colons) = (0_i64, 0_i64);
        while let Some(token) = tokens.next() {
            let vote = if tokens.0.starts_with([' ', '\t']) { 1 } else { -1 };
            match token {
                "," => commas += vote,
                ":" => colons += vote,
                _ => {}
            }
        }
        LineStyle { after_commas: commas > 0, after_colons: colons > 0 }
    }

    /// Whether both texts have the same tokens: they differ in white space only.
    pub fn has_tokens_of(self, other: JsonText<'_>) -> bool {
        Tokens(self.0).eq(Tokens(other.0))
    }

    /// The pretty form with sorted names and uniform escapes in strings. Two texts with the same canonical form differ
    /// only in formatting.
    pub fn canonical(self) -> String {
        let mut sorted = Vec::new();
        Node::read(&mut Tokens(self.0)).write(&mut sorted);
        pretty(sorted.iter().map(String::as_str))
    }
}

/// The tokens of valid JSON: punctuation, strings with their quotes, numbers and words.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
        let length = match self.0.bytes().next()? {
            b'"' => string_length(self.0),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => self.0.find(|c: char| " \t\n\r{}[],:\"".contains(c)).unwrap_or(self.0.len()),
        };
        let (token, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(token)
    }
}

/// The length in bytes of the string that the text begins with.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn pretty<'a>(tokens: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    let mut opened = false;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for token in tokens {
        let closes = matches!(token, "}" | "]");
        if closes {
            depth = depth.saturating_sub(1);
        }
        // An empty object or array stays on its line.
        if opened != closes {
            line(&mut out, depth);
        }
        opened = matches!(token, "{" | "[");
        out.push_str(token);
        match token {
            "{" | "[" => depth += 1,
            ":" => out.push(' '),
            "," => line(&mut out, depth),
            _ => {}
        }
    }
    out
}

/// A JSON value with its tokens. serde_json limits the depth.
enum Node {
    Scalar(String),
    Array(Vec<Node>),
    /// Names with their quotes.
    Object(Vec<(String, Node)>),
}

impl Node {
    fn read(tokens: &mut Tokens<'_>) -> Self {
        let first = tokens.next().unwrap_or_default();
        Self::of(first, tokens)
    }

    fn of(first: &str, tokens: &mut Tokens<'_>) -> Self {
        match first {
            "[" => {
                let mut items = Vec::new();
                while let Some(token) = tokens.next().filter(|token| *token != "]") {
                    if token != "," {
                        items.push(Self::of(token, tokens));
                    }
                }
                Self::Array(items)
            }
            "{" => {
                let mut entries = Vec::new();
                while let Some(token) = tokens.next().filter(|token| *token != "}") {
                    if token != "," {
                        let name = uniform(token);
                        let _colon = tokens.next();
                        entries.push((name, Self::read(tokens)));
                    }
                }
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                Self::Object(entries)
            }
            scalar => Self::Scalar(uniform(scalar)),
        }
    }

    fn write(self, out: &mut Vec<String>) {
        let separate = |out: &mut Vec<String>, index: usize| {
            if index > 0 {
                out.push(",".to_owned());
            }
        };
        match self {
            Self::Scalar(token) => out.push(token),
            Self::Array(items) => {
                out.push("[".to_owned());
                for (index, item) in items.into_iter().enumerate() {
                    separate(out, index);
                    item.write(out);
                }
                out.push("]".to_owned());
            }
            Self::Object(entries) => {
                out.push("{".to_owned());
                for (index, (name, item)) in entries.into_iter().enumerate() {
                    separate(out, index);
                    out.extend([name, ":".to_owned()]);
                    item.write(out);
                }
                out.push("}".to_owned());
            }
        }
    }
}

/// A string with the escapes that JSON requires and no others; another token as it is.
fn uniform(token: &str) -> String {
    match serde_json::from_str(token) {
        Ok(Value::String(text)) => Value::String(text).to_string(),
        _ => token.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const COMPACT: LineStyle = LineStyle { after_commas: false, after_colons: false };
    const SPACED: LineStyle = LineStyle { after_commas: true, after_colons: true };

    fn parse(text: &str) -> JsonText<'_> {
        JsonText::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn tokens_survive_every_form() {
        let text = r#"{"b":[1.50,12345678901234567890123,1E2,{}],"a":"\u0061, \"x\": {","c":[],"d":null}"#;
        let json = parse(text);
        assert_eq!(
            json.pretty(),
            "{\n  \"b\": [\n    1.50,\n    12345678901234567890123,\n    1E2,\n    {}\n  ],\n  \"a\": \"\\u0061, \\\"x\\\": {\",\n  \"c\": [],\n  \"d\": null\n}"
        );
        assert_eq!(parse(&json.pretty()).one_line(COMPACT), text);
        let spaced = r#"{"a": [1, 2], "b": {}}"#;
        assert_eq!(parse(r#"{"a":[1,2],"b":{}}"#).one_line(SPACED), spaced);
    }

    #[test]
    fn the_style_of_a_line() {
        for (text, style) in [
            (r#"{"a":[1,2]}"#, COMPACT),
            ("{\"a\":[1,2]}\n", COMPACT),
            (r#"{"a": [1, 2]}"#, SPACED),
            (r#"{ "a": 1, "b": {}, "l": [ ] }"#, SPACED),
            (r#"{"a":1, "b":2}"#, LineStyle { after_commas: true, after_colons: false }),
            (r#"{"a": 1,"b": 2}"#, LineStyle { after_commas: false, after_colons: true }),
            // Most of them decide, and the text of strings does not count.
            (r#"{"a": 1, "b":2,"c":", , : : "}"#, COMPACT),
        ] {
            assert_eq!(parse(text).line_style(), style, "{text}");
        }
    }

    #[test]
    fn only_white_space_between_tokens_does_not_count() {
        assert!(parse("[ 1,\n2 ]").has_tokens_of(parse("[1,2]")));
        assert!(!parse("[\"a b\"]").has_tokens_of(parse("[\"ab\"]")));
        assert!(!parse("[1]").has_tokens_of(parse("[1,2]")) && !parse("[1.0]").has_tokens_of(parse("[1]")));
    }

    #[test]
    fn the_grammar_alone() {
        for text in ["1", "\"a\"", " null ", r#"{"a":1,"a":2}"#, "[1e400]", r#"["\ud800"]"#] {
            assert!(is_json(text.as_bytes()) && JsonText::parse(text.as_bytes()).is_none(), "{text}");
        }
        for text in [&b""[..], b"blue", b"{", b"[1] x", b"[\"\xff\"]", b"[01]"] {
            assert!(!is_json(text), "{text:?}");
        }
    }

    #[test]
    fn canonical_forms_differ_if_the_data_does() {
        assert_eq!(parse(r#"{"b":1,"a":"\u0061"}"#).canonical(), "{\n  \"a\": \"a\",\n  \"b\": 1\n}");
        // Both are the same 64-bit float.
        assert_ne!(parse("[12345678901234567890123]").canonical(), parse("[12345678901234567890124]").canonical());
    }

    #[test]
    fn only_objects_and_arrays_whose_names_are_unique() {
        for text in ["", "1", "\"a\"", "null", "{\"a\":1,\"a\":1}", "[1", "[1] x", "\u{feff}[1]"] {
            assert_eq!(JsonText::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(JsonText::parse(b"[\"\xff\"]"), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[\\PC\"\\\\\t{}\\[\\],:é]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map("[a-c\"\\\\]{0,3}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_form_is_the_same_data(value in json().prop_map(|value| Value::Array(vec![value]))) {
            let compact = value.to_string();
            let text = parse(&compact);
            prop_assert_eq!(text.one_line(COMPACT), compact.clone());
            // serde_json's own pretty form is the same.
            prop_assert_eq!(text.pretty(), serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(serde_json::from_str::<Value>(&text.one_line(SPACED)).unwrap(), value.clone());
            prop_assert_eq!(serde_json::from_str::<Value>(&text.canonical()).unwrap(), value);
            prop_assert_eq!(parse(&text.canonical()).canonical(), text.canonical());
        }
    }
}
