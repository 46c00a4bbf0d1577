//! The position of a watch, without a server.

use std::sync::Arc;

use super::*;
use crate::transport::TlsFiles;
use crate::transport::testing::{options, session};

/// The position moves although no event is wanted; nothing listens at the endpoint.
#[tokio::test]
async fn events_between_the_ranges_are_progress() {
    let options = options(&["127.0.0.1:1".to_owned()], TlsFiles::default(), Duration::from_secs(1));
    let store = Store::new(options, session(&Arc::default()));
    let ranges = vec![KeyRange::prefix(b"/a/"), KeyRange::prefix(b"/c/")];
    let mut watcher = store.watch(WatchOptions { ranges, start: 1, known: 0, prev: false });
    let event = RawEvent::put(b"/b/x", b"", 7);
    watcher.pending = watcher.assembly.push(vec![event; UPDATE_EVENTS + 1], false).unwrap_or_default().into_iter();
    assert!(matches!(watcher.next().await, Ok(WatchUpdate::Progress)));
    assert_eq!(watcher.next_revision(), 8);
}

#[test]
fn updates_are_of_whole_revisions_and_the_position_follows_them() {
    let options = options(&["127.0.0.1:1".to_owned()], TlsFiles::default(), Duration::from_secs(1));
    let store = Store::new(options, session(&Arc::default()));
    let mut watcher =
        store.watch(WatchOptions { ranges: vec![KeyRange::prefix(b"")], start: 1, known: 0, prev: false });
    let events = |at: Revision, count: usize| vec![RawEvent::put(b"/a", b"", at); count];
    let all = [events(1, UPDATE_EVENTS + 900), events(2, 3000), events(3, 1500), events(4, 1)].concat();
    watcher.pending = watcher.assembly.push(all, false).unwrap_or_default().into_iter();
    for (expected, next) in [(UPDATE_EVENTS + 900, 2), (4500, 4), (1, 5), (0, 5)] {
        assert_eq!((watcher.take_pending().len(), watcher.next_revision()), (expected, next));
    }
}

/// What a response holds is not decoded at once: the values of an update need little memory whatever their size.
#[test]
fn updates_are_small_if_values_are_large() {
    let options = options(&["127.0.0.1:1".to_owned()], TlsFiles::default(), Duration::from_secs(1));
    let store = Store::new(options, session(&Arc::default()));
    let mut watcher =
        store.watch(WatchOptions { ranges: vec![KeyRange::prefix(b"")], start: 1, known: 0, prev: false });
    let value = vec![7; 300_000];
    let all = (1..=10).flat_map(|at| vec![RawEvent::put(b"/a", &value, at); 2]).collect();
    watcher.pending = watcher.assembly.push(all, false).unwrap_or_default().into_iter();
    // The fourth event exceeds the limit, and ends its revision.
    for (expected, next) in [(4, 3), (4, 5), (4, 7), (4, 9), (4, 11), (0, 11)] {
        let update = watcher.take_pending();
        assert_eq!((update.len(), watcher.next_revision()), (expected, next));
        assert!(update.iter().all(|event| event.kv.value == value && !event.deleted));
    }
}
