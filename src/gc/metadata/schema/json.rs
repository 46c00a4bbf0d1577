//! References inside JSON values: JSON pointers (RFC 6901) in which `*` stands for every element.

use std::borrow::Cow;

use serde_json::Value;

use crate::unique_names::UniqueNames;

/// Maximum number of steps of a pointer.
const MAX_STEPS: usize = 16;

/// A pointer into a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<PointerStep>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum PointerStep {
    /// The member with this name, or the element with this index.
    Name(String),
    /// Every member or element.
    Any,
}

impl Pointer {
    /// Parses `/spec/owners/*/uid`. The empty text is the whole document; `~1` stands for a slash, `~0` for a tilde.
    ///
    /// # Errors
    /// The text does not begin with a slash, has too many steps, or has a `*` although `many` is false.
    pub fn parse(text: &str, many: bool) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(steps) = text.strip_prefix('/') else {
            return Err(format!("'{text}' is not a JSON pointer: it must begin with a slash"));
        };
        let step = |step: &str| match step {
            step if step.replace("~0", "").replace("~1", "").contains('~') => {
                Err(format!("'{text}' is not a JSON pointer: after a tilde, only 0 or 1 may follow"))
            }
            "*" if many => Ok(PointerStep::Any),
            "*" => Err(format!("'{text}' may not contain '*': it must lead to one value")),
            name => Ok(PointerStep::Name(name.replace("~1", "/").replace("~0", "~"))),
        };
        let steps: Vec<PointerStep> = steps.split('/').map(step).collect::<Result<_, _>>()?;
        if steps.len() > MAX_STEPS {
            return Err(format!("'{text}' has more than {MAX_STEPS} steps"));
        }
        Ok(Self(steps))
    }

    /// The values that the pointer leads to, in order; `None` for a value on the way that has another shape than the
    /// pointer expects. What is missing, null or an empty text leads nowhere.
    fn find<'v>(&self, document: &'v Value) -> Vec<Option<&'v Value>> {
        let mut found = vec![Some(document)];
        for step in &self.0 {
            let next = |value: Option<&'v Value>| value.map_or_else(|| vec![None], |value| children(value, step));
            found = found.into_iter().flat_map(next).collect();
        }
        found
    }
}

fn children<'v>(value: &'v Value, step: &PointerStep) -> Vec<Option<&'v Value>> {
    match (value, step) {
        (Value::Object(members), PointerStep::Name(name)) => members.get(name).into_iter().map(Some).collect(),
        (Value::Object(members), PointerStep::Any) => members.values().map(Some).collect(),
        (Value::Array(elements), PointerStep::Name(name)) => match name.parse::<usize>() {
            Ok(at) => elements.get(at).into_iter().map(Some).collect(),
            Err(_) if elements.is_empty() => Vec::new(),
            Err(_) => vec![None],
        },
        (Value::Array(elements), PointerStep::Any) => elements.iter().map(Some).collect(),
        (value, _) if is_none(value) => Vec::new(),
        _ => vec![None],
    }
}

fn is_none(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// Parses a JSON document; `None` if it is not JSON, or gives a name twice in one mapping: programs differ in which one
/// they read.
pub fn parse_document(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok().map(|UniqueNames(document)| document)
}

/// Where the references of a JSON value are.
#[derive(Debug)]
pub struct JsonRule {
    /// Each value that it leads to is a reference.
    pub at: Pointer,
    /// Only those count in which these texts stand.
    pub when: Vec<(Pointer, String)>,
    /// What is captured of a reference; nothing if the value itself is the reference.
    pub take: Vec<(String, Pointer)>,
}

/// A reference in a JSON value: the captures in order, or the value itself. `None` for one that cannot be read.
pub type JsonReference<'v> = Option<Vec<Cow<'v, [u8]>>>;

impl JsonRule {
    /// The references in the document. An empty text and null are none. A value of another shape than the rule expects
    /// cannot be read.
    pub fn references<'v>(&self, document: &'v Value) -> Vec<JsonReference<'v>> {
        self.at.find(document).into_iter().filter_map(|found| self.reference(found)).collect()
    }

    /// The reference in a value that was found; the outer `None` if there is none.
    fn reference<'v>(&self, found: Option<&'v Value>) -> Option<JsonReference<'v>> {
        let Some(value) = found else { return Some(None) };
        if is_none(value) {
            return None;
        }
        for (pointer, text) in &self.when {
            match pointer.find(value).first() {
                Some(None) => return Some(None),
                Some(Some(found)) if scalar(found).is_some_and(|found| found.as_ref() == text.as_bytes()) => {}
                _ => return None,
            }
        }
        if self.take.is_empty() {
            return Some(scalar(value).map(|text| vec![text]));
        }
        let take = |pointer: &Pointer| pointer.find(value).first().copied().flatten().and_then(scalar);
        Some(self.take.iter().map(|(_, pointer)| take(pointer)).collect())
    }
}

/// The text of a value that is not null, a list or a mapping, and not empty. A number must be an integer of 64 bits: of
/// another one, the digits as they were written are not known any more.
fn scalar(value: &Value) -> Option<Cow<'_, [u8]>> {
    match value {
        Value::String(text) => (!text.is_empty()).then_some(Cow::Borrowed(text.as_bytes())),
        Value::Number(number) if number.is_f64() => None,
        Value::Number(number) => Some(Cow::Owned(number.to_string().into_bytes())),
        Value::Bool(value) => Some(Cow::Owned(value.to_string().into_bytes())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn rule(at: &str, when: &[(&str, &str)], take: &[(&str, &str)]) -> JsonRule {
        let pointer = |text: &str| Pointer::parse(text, false).unwrap();
        JsonRule {
            at: Pointer::parse(at, true).unwrap(),
            when: when.iter().map(|(at, text)| (pointer(at), (*text).to_owned())).collect(),
            take: take.iter().map(|(name, at)| ((*name).to_owned(), pointer(at))).collect(),
        }
    }

    fn read(rule: &JsonRule, document: &Value) -> Vec<Option<String>> {
        let text = |texts: Vec<Cow<'_, [u8]>>| String::from_utf8(texts.join(&b"+"[..])).unwrap();
        rule.references(document).into_iter().map(|found| found.map(text)).collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn pointers_lead_to_values() {
        let document =
            json!({"a": [{"b": "x"}, {"b": 7}, {"b": ""}, {"b": null}, {"b": [1]}, {}], "c/d~": true, "e": {"f": "y"}});
        assert_eq!(read(&rule("/a/*/b", &[], &[]), &document), [some("x"), some("7"), None]);
        assert_eq!(read(&rule("/a/1/b", &[], &[]), &document), [some("7")]);
        assert_eq!(read(&rule("/c~1d~0", &[], &[]), &document), [some("true")]);
        assert_eq!(read(&rule("/e/*", &[], &[]), &document), [some("y")]);
        assert_eq!(read(&rule("", &[], &[]), &json!("z")), [some("z")]);
        assert_eq!(read(&rule("/none/*/b", &[], &[]), &document), []);
        assert_eq!(read(&rule("/e", &[], &[]), &document), [None]);
    }

    #[test]
    fn a_document_is_json_with_unique_names() {
        assert_eq!(parse_document(br#"{"r": ["x"]}"#), Some(json!({"r": ["x"]})));
        for text in [r#"{"r": "a", "r": "x"}"#, "{", "", "1 2", r#"{"r": 01}"#] {
            assert_eq!(parse_document(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_has_another_shape_is_not_read_as_no_reference() {
        for (at, document, expected) in [
            ("/uses/*", json!({"uses": "a"}), vec![None]),
            ("/uses/*", json!({"uses": 1}), vec![None]),
            ("/uses/*", json!({"uses": ""}), vec![]),
            ("/uses/*", json!({"uses": null}), vec![]),
            ("/uses/*", json!({"uses": []}), vec![]),
            ("/uses/*/name", json!({"uses": ["a", {"name": "b"}, {"Name": "c"}, null]}), vec![None, some("b")]),
            ("/uses/name", json!({"uses": [{"name": "b"}]}), vec![None]),
            ("/r", json!("a"), vec![None]),
            ("/r", json!(7), vec![None]),
            ("/r", json!(""), vec![]),
        ] {
            assert_eq!(read(&rule(at, &[], &[]), &document), expected, "{at} in {document}");
        }
        assert_eq!(read(&rule("/o/*", &[("/kind", "Set")], &[]), &json!({"o": ["a"]})), [None]);
        for (text, expected) in [
            ("7", some("7")),
            ("-7", some("-7")),
            ("18446744073709551615", some("18446744073709551615")),
            ("18446744073709551616", None),
            ("1.10", None),
            ("1.0", None),
            ("1e0", None),
        ] {
            let document = serde_json::from_str(text).unwrap();
            assert_eq!(read(&rule("", &[], &[]), &document), [expected], "{text}");
        }
        for pointer in ["/a~2", "/a~", "/~"] {
            assert!(Pointer::parse(pointer, true).is_err_and(|why| why.contains("tilde")), "{pointer}");
        }
    }

    #[test]
    fn several_texts_of_one_reference_belong_together() {
        let document = json!({"owners": [
            {"kind": "Set", "name": "a", "uid": "1"},
            {"kind": "Job", "name": "b", "uid": "2"},
            {"kind": "Set", "name": "c"},
        ]});
        let take = [("name", "/name"), ("uid", "/uid")];
        assert_eq!(read(&rule("/owners/*", &[("/kind", "Set")], &take), &document), [some("a+1"), None]);
        assert_eq!(read(&rule("/owners/*", &[], &take), &document), [some("a+1"), some("b+2"), None]);
        assert_eq!(read(&rule("/owners/*", &[("/none", "Set")], &take), &document), []);
        assert_eq!(read(&rule("/owner", &[], &take), &json!({"owner": null})), []);
    }

    #[test]
    fn bad_pointers() {
        assert!(Pointer::parse("a", true).is_err());
        assert!(Pointer::parse("/a/*", false).is_err());
        assert!(Pointer::parse(&"/a".repeat(17), true).is_err());
    }
}
