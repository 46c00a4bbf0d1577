//! Surveys for tests.

use super::{Layout, Survey};
use crate::kvstore::KeyValue;

/// The layout of [`surveyed`].
pub(super) fn layout() -> Layout {
    Layout::new(b"b").unwrap_or_else(|error| panic!("{error}"))
}

/// What a survey of these paths below `b/`, and their values, gives.
pub(super) fn surveyed(pairs: &[(&str, &str)]) -> Survey {
    let mut survey = Survey::default();
    for (path, value) in pairs {
        let kv = KeyValue { key: (*path).into(), value: (*value).into(), ..KeyValue::default() };
        if path.starts_with("b/id/") {
            survey.take_master(&layout(), &kv);
        } else {
            survey.take_reference(&layout(), &kv);
        }
    }
    survey.sort();
    survey
}
