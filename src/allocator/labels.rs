//! Cilium's identity keys, made from labels. Pure.
//!
//! Wire format: `Labels.SortedList` and `ParseLabel` in `pkg/labels` of Cilium: `<source>:<key>=<value>;` for each
//! label, sorted by the label's key; the source of a label without one is `unspec`.

use thiserror::Error;

/// Why labels cannot form a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LabelError {
    /// The label is `=value`.
    #[error("label '{0}' has no key")]
    NoKey(String),
    /// The label contains the separator of labels.
    #[error("label '{0}' contains ';', which separates labels")]
    Separator(String),
    /// Two labels have the same key.
    #[error("label key '{0}' is given twice")]
    Twice(String),
}

/// The key of these labels, each `[SOURCE:]KEY[=VALUE]`.
///
/// # Errors
/// A label without a key or with a semicolon, or two labels with the same key.
pub fn label_key(labels: &[String]) -> Result<String, LabelError> {
    let mut parsed = Vec::with_capacity(labels.len());
    for label in labels {
        if label.contains(';') {
            return Err(LabelError::Separator(label.clone()));
        }
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        let (source, key) = name.split_once(':').unwrap_or(("unspec", name));
        if key.is_empty() || source.is_empty() {
            return Err(LabelError::NoKey(label.clone()));
        }
        parsed.push((key, source, value));
    }
    parsed.sort_unstable();
    if let Some(twice) = parsed.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(LabelError::Twice(twice[0].0.to_owned()));
    }
    Ok(parsed.iter().map(|(key, source, value)| format!("{source}:{key}={value};")).collect())
}

/// Selects keys that have a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSelector {
    /// `None` for any source.
    source: Option<String>,
    key: String,
    /// `None` for any value.
    value: Option<String>,
}

impl LabelSelector {
    /// Parses `[SOURCE:]KEY[=VALUE]`. Without a source, or with the source `any`, labels of all sources are selected.
    ///
    /// # Errors
    /// A label without a key, or with a semicolon.
    pub fn parse(label: &str) -> Result<Self, LabelError> {
        if label.contains(';') {
            return Err(LabelError::Separator(label.to_owned()));
        }
        let (name, value) = label.split_once('=').map_or((label, None), |(name, value)| (name, Some(value)));
        let (source, key) = name.split_once(':').unwrap_or(("any", name));
        if key.is_empty() || source.is_empty() {
            return Err(LabelError::NoKey(label.to_owned()));
        }
        Ok(Self {
            source: (source != "any").then(|| source.to_owned()),
            key: key.to_owned(),
            value: value.map(str::to_owned),
        })
    }

    /// Whether the key has such a label.
    pub fn matches(&self, key: &[u8]) -> bool {
        let labels = key.strip_suffix(b";").map(|labels| labels.split(|byte| *byte == b';'));
        labels.is_some_and(|mut labels| labels.any(|label| self.matches_label(label)))
    }

    fn matches_label(&self, label: &[u8]) -> bool {
        let Some((name, value)) = split_at(label, b'=') else { return false };
        let Some((source, key)) = split_at(name, b':') else { return false };
        key == self.key.as_bytes()
            && self.source.as_ref().is_none_or(|expected| source == expected.as_bytes())
            && self.value.as_ref().is_none_or(|expected| value == expected.as_bytes())
    }
}

/// The parts before and after the first occurrence of a byte.
fn split_at(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::{check_message, damage, damaged};

    fn key(labels: &[&str]) -> Result<String, LabelError> {
        label_key(&labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn labels_are_sorted_by_their_key() {
        let web = key(&["k8s:io.kubernetes.pod.namespace=default", "k8s:app=web"]);
        assert_eq!(web.unwrap_or_default(), "k8s:app=web;k8s:io.kubernetes.pod.namespace=default;");
        assert_eq!(key(&["z:a=1", "a:b=2"]).unwrap_or_default(), "z:a=1;a:b=2;");
        assert_eq!(key(&["app=web", "reserved:host"]).unwrap_or_default(), "unspec:app=web;reserved:host=;");
        assert_eq!(key(&["k8s:url=http://x=y"]).unwrap_or_default(), "k8s:url=http://x=y;");
    }

    proptest! {
        /// The key holds each label once, whatever their order, and can be taken apart again.
        #[test]
        fn a_key_is_its_labels(
            labels in proptest::collection::btree_map("[a-c./:\u{e9}]{0,3}[a-c]", ("[a-z]{1,3}", "[a-c:=/ ]{0,3}"), 1..5),
            turn in any::<prop::sample::Index>(),
        ) {
            let mut given: Vec<String> =
                labels.iter().map(|(name, (source, value))| format!("{source}:{name}={value}")).collect();
            let made = label_key(&given);
            given.rotate_left(turn.index(labels.len()));
            prop_assert_eq!(&label_key(&given), &made);
            let made = made.unwrap_or_default();
            let parts: Vec<String> = made.split_terminator(';').map(str::to_owned).collect();
            prop_assert_eq!(label_key(&parts), Ok(made.clone()));
            prop_assert_eq!(parts.len(), labels.len());
            prop_assert!(given.iter().all(|label| parts.contains(label)), "{made}");
        }

        /// A key made of labels is selected by each of them.
        #[test]
        fn a_label_selects_its_key(
            labels in proptest::collection::btree_map("[a-c./]{1,4}", ("[a-z]{1,3}", "[a-c:=/ ]{0,3}"), 1..5),
        ) {
            let given: Vec<String> =
                labels.iter().map(|(name, (source, value))| format!("{source}:{name}={value}")).collect();
            let made = label_key(&given).unwrap_or_default();
            for (label, (name, _)) in given.iter().zip(&labels) {
                for text in [label, name] {
                    prop_assert!(LabelSelector::parse(text).is_ok_and(|one| one.matches(made.as_bytes())), "{text}");
                }
            }
        }

        #[test]
        fn a_damaged_label_is_refused_or_one(damage in damage()) {
            let label = String::from_utf8_lossy(&damaged(b"k8s:io.kubernetes.pod.namespace=default", &damage)).into_owned();
            match label_key(std::slice::from_ref(&label)) {
                Err(error) => check_message(&error.to_string())?,
                Ok(key) => prop_assert!(key.matches(';').count() == 1 && key.ends_with(';') && key.contains('='), "{key}"),
            }
        }
    }

    #[test]
    fn a_selector_matches_whole_labels() {
        let matches = |selector: &str, key: &str| {
            LabelSelector::parse(selector).is_ok_and(|selector| selector.matches(key.as_bytes()))
        };
        let key = "k8s:app=web;k8s:io.kubernetes.pod.namespace=default;reserved:health=;";
        for selector in ["k8s:app=web", "app=web", "any:app=web", "k8s:app", "app", "reserved:health", "health="] {
            assert!(matches(selector, key), "{selector}");
        }
        for selector in ["k8s:app=we", "k8s:ap=web", "container:app=web", "k8s:app=", "web", "namespace=default", "k8s"]
        {
            assert!(!matches(selector, key), "{selector}");
        }
        assert!(!matches("app=web", "k8s:app=web"), "Cilium's keys end in a semicolon");
        assert!(matches("k8s:url=http://x=y", "k8s:url=http://x=y;"));
        assert_eq!(LabelSelector::parse(":a=b"), Err(LabelError::NoKey(":a=b".to_owned())));
        assert_eq!(LabelSelector::parse("=b"), Err(LabelError::NoKey("=b".to_owned())));
        assert_eq!(LabelSelector::parse("a=b;c"), Err(LabelError::Separator("a=b;c".to_owned())));
    }

    #[test]
    fn labels_that_make_no_key() {
        assert_eq!(key(&["=web"]), Err(LabelError::NoKey("=web".to_owned())));
        assert_eq!(key(&[":app=web"]), Err(LabelError::NoKey(":app=web".to_owned())));
        assert_eq!(key(&["app=a;b"]), Err(LabelError::Separator("app=a;b".to_owned())));
        assert_eq!(key(&["k8s:app=a", "app=b"]), Err(LabelError::Twice("app".to_owned())));
    }
}
