//! A value as text for an editor, and the text back as a value. No I/O.

use crate::output::is_text;
use crate::output::json_text::{JsonText, LineStyle};
use crate::plural::counted;
use crate::proto::{Codec, Decoded};
use crate::unique_names::UniqueNames;

/// The extensions of text files that a file for the editor may have. With others, editors do more than to choose the
/// highlighting: Vim opens `.tar`, `.gz` and `.zip` as archives.
const TEXT_EXTENSIONS: &[&str] = &[
    "bash",
    "bashrc",
    "c",
    "cfg",
    "cnf",
    "conf",
    "config",
    "cpp",
    "cron",
    "crt",
    "css",
    "csv",
    "desktop",
    "env",
    "go",
    "h",
    "hcl",
    "html",
    "ini",
    "java",
    "js",
    "json",
    "key",
    "log",
    "lua",
    "md",
    "pem",
    "php",
    "pl",
    "plan",
    "properties",
    "proto",
    "py",
    "rb",
    "rego",
    "rs",
    "rst",
    "rules",
    "service",
    "sh",
    "sql",
    "tf",
    "tmpl",
    "toml",
    "ts",
    "tsv",
    "txt",
    "vcl",
    "xml",
    "yaml",
    "yml",
    "zone",
];

/// How a value is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The bytes of the value.
    Text,
    /// JSON that is stored on one line: formatted for the editor, and written back on one line.
    JsonLine(LineStyle),
    /// JSON on several lines: the bytes of the value.
    JsonLines,
    /// A protobuf message, or an object of a Kubernetes API server, as JSON.
    Message,
}

/// Why a value cannot be edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotEditable {
    /// It is not text.
    Binary(String),
    /// It is not a valid message of the type that the rules name, or not one that can be encoded again.
    Message(String),
}

impl Form {
    /// The form of the value, and its text. A missing key has an empty text.
    ///
    /// # Errors
    /// The value is binary, or a message that encoding would change.
    pub fn of(key: &[u8], value: Option<&[u8]>, codec: &Codec) -> Result<(Self, Vec<u8>), NotEditable> {
        match value {
            Some(value) => {
                if let Some(decoded) = codec.decode(key, value) {
                    return message_text(key, &decoded.map_err(NotEditable::Message)?, codec)
                        .map(|text| (Self::Message, text));
                }
            }
            None if codec.knows(key) => return Ok((Self::Message, b"{}\n".to_vec())),
            None => {}
        }
        let value = value.unwrap_or_default();
        if !is_text(value) {
            return Err(NotEditable::Binary(counted(value.len(), "byte")));
        }
        Ok(match JsonText::parse(value) {
            Some(_) if value.trim_ascii_end().contains(&b'\n') => (Self::JsonLines, value.to_vec()),
            Some(json) => (Self::JsonLine(json.line_style()), (json.pretty() + "\n").into_bytes()),
            None => (Self::Text, value.to_vec()),
        })
    }

    /// The value of an edited text. `base` is the value that the text began with.
    ///
    /// # Errors
    /// The text is not a valid message.
    pub fn value_of(&self, text: &[u8], key: &[u8], base: &[u8], codec: &Codec) -> Result<Vec<u8>, String> {
        match self {
            Self::Message => encode(text, key, codec),
            Self::JsonLine(style) => Ok(match JsonText::parse(text) {
                Some(json) if JsonText::parse(base).is_some_and(|base| json.has_tokens_of(base)) => base.to_vec(),
                Some(json) => with_space_around(json.one_line(*style).as_bytes(), base),
                None => without_added_newline(text, base),
            }),
            Self::Text | Self::JsonLines => Ok(without_added_newline(text, base)),
        }
    }

    /// The name of a file with this text, by which editors choose the highlighting: the last part of the key.
    pub fn file_name(&self, key: &[u8]) -> String {
        /// Enough to recognize the key; file systems allow 255 bytes.
        const MAX_NAME_BYTES: usize = 64;
        let last = key.rsplit(|byte| *byte == b'/').find(|part| !part.is_empty()).unwrap_or_default();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let name: String = last.iter().map(|byte| if plain(byte) { char::from(*byte) } else { '_' }).collect();
        let (stem, extension) = match name.rsplit_once('.') {
            Some((stem, extension)) if TEXT_EXTENSIONS.contains(&extension) => (stem, Some(extension)),
            _ => (name.as_str(), None),
        };
        // A leading dash looks like an option, and a leading dot hides the file.
        let stem: String = stem.trim_start_matches(['-', '.']).chars().take(MAX_NAME_BYTES).collect();
        let stem = if stem.is_empty() { "value" } else { &stem };
        match (self, extension) {
            (Self::Text, Some(extension)) => format!("{stem}.{extension}"),
            (Self::Text, None) => format!("{stem}.txt"),
            _ => format!("{stem}.json"),
        }
    }
}

/// The message as JSON, if encoding that JSON keeps everything.
fn message_text(key: &[u8], decoded: &Decoded, codec: &Codec) -> Result<Vec<u8>, NotEditable> {
    if let Some(why) = &decoded.fixed {
        return Err(NotEditable::Message(why.clone()));
    }
    let again = codec.encode(key, &decoded.json).and_then(Result::ok).and_then(|value| codec.decode(key, &value));
    match again {
        Some(Ok(again)) if again.json == decoded.json => Ok(format!("{:#}\n", decoded.json).into_bytes()),
        _ => Err(NotEditable::Message("its JSON form does not keep everything".to_owned())),
    }
}

fn encode(text: &[u8], key: &[u8], codec: &Codec) -> Result<Vec<u8>, String> {
    let UniqueNames(json) = serde_json::from_slice(text).map_err(|error| format!("not valid JSON: {error}"))?;
    codec.encode(key, &json).unwrap_or_else(|| Err("no message type is known".to_owned()))
}

/// The text without a newline that the editor has added: editors end the last line, which many values do not. A new value
/// of several lines keeps its last newline.
fn without_added_newline(text: &[u8], base: &[u8]) -> Vec<u8> {
    let added = || {
        let rest = text.strip_suffix(b"\n")?;
        let rest = rest.strip_suffix(b"\r").filter(|_| base.windows(2).any(|end| end == b"\r\n")).unwrap_or(rest);
        let lines = base.is_empty() && rest.contains(&b'\n');
        (!base.ends_with(b"\n") && !rest.ends_with(b"\n") && !lines).then_some(rest)
    };
    added().unwrap_or(text).to_vec()
}

/// The text with the white space that is around the text of `base`.
fn with_space_around(text: &[u8], base: &[u8]) -> Vec<u8> {
    let (start, end) = (base.trim_ascii_start().len(), base.trim_ascii_end().len());
    let before = base.get(..base.len().saturating_sub(start)).unwrap_or_default();
    [before, text, base.get(end..).unwrap_or_default()].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn form(value: &[u8]) -> (Form, String) {
        let (form, text) = Form::of(b"k", Some(value), &Codec::default()).unwrap();
        (form, String::from_utf8(text).unwrap())
    }

    fn back(value: &str, text: &str) -> String {
        let (form, _) = form(value.as_bytes());
        let value = form.value_of(text.as_bytes(), b"k", value.as_bytes(), &Codec::default()).unwrap();
        String::from_utf8(value).unwrap()
    }

    #[test]
    fn a_newline_is_dropped_only_if_the_editor_added_it() {
        assert_eq!(back("a", "b\n"), "b");
        assert_eq!(back("a", "b"), "b");
        assert_eq!(back("a", "b\n\n"), "b\n\n");
        assert_eq!(back("a\n", "b\n"), "b\n");
        assert_eq!(back("a\n", "b"), "b");
        assert_eq!(back("a\r\nb", "a\r\nc\r\n"), "a\r\nc");
        assert_eq!(back("a", "c\r\n"), "c\r");
        assert_eq!(back("", "a\n"), "a");
        assert_eq!(back("", "a\nb\n"), "a\nb\n");
    }

    #[test]
    fn json_on_one_line_is_formatted_and_written_back_in_its_style() {
        assert_eq!(form(br#"{"b":1.50,"a":[]}"#).1, "{\n  \"b\": 1.50,\n  \"a\": []\n}\n");
        assert_eq!(back(r#"{"a":1}"#, "{\n \"b\": 1e2,\n\n\"a\":\"\\u0061\"}\n"), r#"{"b":1e2,"a":"\u0061"}"#);
        assert_eq!(back("{\"a\":1}\n", "{\n \"a\": 2}\n"), "{\"a\":2}\n");
        assert_eq!(back(r#"{"a": 1, "b": 2}"#, "{\"a\":1,\"b\":3}"), r#"{"a": 1, "b": 3}"#);
        for (value, expected) in [
            (r#"{ "host": "a", "port": 1 }"#, r#"{"host": "a", "port": 2}"#),
            (r#"{"host":"a", "port":1}"#, r#"{"host":"a", "port":2}"#),
            (r#"{"host": "a","port": 1}"#, r#"{"host": "a","port": 2}"#),
            (" {\"host\":\"a\",\"port\":1}  ", " {\"host\":\"a\",\"port\":2}  "),
            ("{\"host\":\"a\",\"port\":1}\r\n", "{\"host\":\"a\",\"port\":2}\r\n"),
            (r#"{"e": {}, "l": [ ], "port": 1}"#, r#"{"e": {}, "l": [], "port": 2}"#),
        ] {
            assert_eq!(back(value, &form(value.as_bytes()).1.replace('1', "2")), expected);
            // Other white space in the editor is no change.
            assert_eq!(back(value, &form(value.as_bytes()).1.replace('\n', " \n")), value);
        }
        // What is not JSON any more is written as edited too.
        assert_eq!(back(r#"{"a":1}"#, "{\n"), "{");
    }

    #[test]
    fn json_on_several_lines_is_edited_as_it_is() {
        let text = "{\n    \"a\": 1\n}\n";
        assert_eq!(form(text.as_bytes()), (Form::JsonLines, text.to_owned()));
        assert_eq!(back(text, "{\n    \"a\": 2\n}\n"), "{\n    \"a\": 2\n}\n");
    }

    #[test]
    fn names_given_twice_and_scalars_are_text() {
        assert_eq!(form(br#"{"a":1,"a":2}"#).0, Form::Text);
        assert_eq!(form(b"12345678901234567890123").0, Form::Text);
        assert!(matches!(Form::of(b"k", Some(b"\xff"), &Codec::default()), Err(NotEditable::Binary(_))));
    }

    #[test]
    fn the_file_is_named_as_the_key() {
        let (text, json) = (Form::Text, Form::JsonLines);
        for (key, expected) in [
            ("/app/mode", "mode.txt"),
            ("/app/config.yaml", "config.yaml"),
            ("/app/", "app.txt"),
            ("/", "value.txt"),
            ("/a/-rf", "rf.txt"),
            ("/a/.hidden", "hidden.txt"),
            ("/a/.env", "value.env"),
            ("/a/all.tar", "all.tar.txt"),
            ("/a/all.tar.gz", "all.tar.gz.txt"),
            ("/a/x.yaml.gpg", "x.yaml.gpg.txt"),
            ("/a/x;rm $y", "x_rm__y.txt"),
            ("/a/10.0.0.0/24", "24.txt"),
            ("/a/10.0.0.0_24", "10.0.0.0_24.txt"),
        ] {
            assert_eq!(text.file_name(key.as_bytes()), expected, "{key}");
        }
        assert_eq!(json.file_name(b"/app/config.yaml"), "config.json");
        assert_eq!(json.file_name(b"/app/mode"), "mode.json");
        assert!(text.file_name(&[b'a'; 5000]).len() < 100);
    }

    proptest! {
        #[test]
        fn a_text_that_is_not_changed_gives_the_same_value(value in "[\\[\\]{}:,\"a1\\\\ \r\n]{0,12}") {
            let (form, text) = form(value.as_bytes());
            let again = form.value_of(text.as_bytes(), b"k", value.as_bytes(), &Codec::default()).unwrap();
            prop_assert_eq!(String::from_utf8(again).unwrap(), value);
        }

        #[test]
        fn json_on_one_line_stays_on_one_line(value in r#"[ ]{0,2}\{ ?"a" ?: ?[1-3]( ?, ?"b" ?: ?\[ ?(1( ?, ?2)?)? ?\])? ?\}[ ]{0,2}\n?"#) {
            let (form, text) = form(value.as_bytes());
            let edited = text.replacen("\"a\"", "\"c\"", 1);
            let again = form.value_of(edited.as_bytes(), b"k", value.as_bytes(), &Codec::default()).unwrap();
            let again = String::from_utf8(again).unwrap();
            prop_assert_eq!(again.contains('\n'), value.contains('\n'));
            prop_assert_eq!(again.trim_end().lines().count(), 1);
            let data = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            prop_assert_eq!(data(&again), data(&edited));
        }
    }
}
