//! Scans for tests.

use super::{AllocatorScan, Layout};
use crate::kvstore::KeyValue;

/// The layout of [`scanned`].
pub(super) fn layout() -> Layout {
    Layout::new(b"b").unwrap_or_else(|error| panic!("{error}"))
}

/// What a scan of these paths below `b/`, and their values, gives.
pub(super) fn scanned(pairs: &[(&str, &str)]) -> AllocatorScan {
    let mut scan = AllocatorScan::default();
    for (path, value) in pairs {
        let kv = KeyValue { key: (*path).into(), value: (*value).into(), ..KeyValue::default() };
        if path.starts_with("b/id/") {
            scan.add_master(&layout(), &kv);
        } else {
            scan.add_reference(&layout(), &kv);
        }
    }
    scan.sort();
    scan
}
