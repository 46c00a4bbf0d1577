//! Divides a listing into windows of keys, several of which may be requested at once, in key order. Pure.

use std::collections::VecDeque;

use crate::kvstore::key_range::successor;
use crate::kvstore::kv::page_sizer::{Page, PageSizer};

/// A part of the range that no request covers yet.
#[derive(Clone, Debug)]
pub(crate) struct UnreadRange {
    /// The start of the part.
    pub(crate) start: Vec<u8>,
    /// The end of the part; `None` for the end of the range.
    pub(crate) end: Option<Vec<u8>>,
    /// The number of keys, as far as known.
    pub(crate) keys: Option<u64>,
}

/// The keys of one request.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// The start of the window.
    pub(crate) start: Vec<u8>,
    /// The end of the window; `None` for the end of the range.
    pub(crate) end: Option<Vec<u8>>,
    /// The maximum number of keys to return.
    pub(crate) limit: u64,
    /// [`PageSizer::corrections`] when the window was planned.
    pub(crate) corrections: u64,
}

#[derive(Debug)]
enum QueuedPart<T> {
    Unread(UnreadRange),
    /// A request, and the number of keys expected from it.
    Requested(T, u64),
}

/// What comes first in the rest of a listing.
#[derive(Debug)]
pub(crate) enum Front<T> {
    /// Its keys are not requested.
    Unread,
    Requested(T),
    End,
}

/// The rest of a listing: requests, and the parts of the range between and behind them, in key order. Each key of the rest
/// belongs to exactly one part.
#[derive(Debug)]
pub(crate) struct WindowQueue<T> {
    parts: VecDeque<QueuedPart<T>>,
}

impl<T> WindowQueue<T> {
    /// Nothing is left to read.
    pub(crate) fn empty() -> Self {
        Self { parts: VecDeque::new() }
    }

    /// Everything from `start` to the end of the range is left to read.
    pub(crate) fn from(start: Vec<u8>) -> Self {
        let mut queue = Self::empty();
        queue.put_back(UnreadRange { start, end: None, keys: None });
        queue
    }

    /// The rest begins with this part.
    pub(crate) fn put_back(&mut self, unread: UnreadRange) {
        self.parts.push_front(QueuedPart::Unread(unread));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The number of requests.
    pub(crate) fn requested(&self) -> usize {
        self.parts.iter().filter(|part| matches!(part, QueuedPart::Requested(..))).count()
    }

    /// Whether another window may be requested: the first part always, others while there are fewer than `most` requests.
    pub(crate) fn has_room(&self, most: usize) -> bool {
        matches!(self.parts.front(), Some(QueuedPart::Unread(_))) || self.requested() < most
    }

    /// The number of keys expected from the requests.
    fn expected_keys(&self) -> u64 {
        let expected = |part: &QueuedPart<T>| if let QueuedPart::Requested(_, keys) = part { *keys } else { 0 };
        self.parts.iter().map(expected).fold(0, u64::saturating_add)
    }

    /// Plans the next window of a range that ends at `range_end`, and adds the request that `send` makes of it. At most
    /// `limit` keys are left to read. Returns whether there was something to request.
    pub(crate) fn request(
        &mut self,
        sizer: &PageSizer,
        range_end: Option<&[u8]>,
        limit: Option<u64>,
        send: impl FnOnce(Window) -> T,
    ) -> bool {
        let Some(at) = self.parts.iter().position(|part| matches!(part, QueuedPart::Unread(_))) else { return false };
        let expected = self.expected_keys();
        let enough = limit.is_some_and(|limit| limit <= expected);
        let Some(QueuedPart::Unread(unread)) = self.parts.get(at) else { return false };
        let left = unread.keys.or_else(|| sizer.remaining().filter(|_| unread.end.is_none()));
        let left = left.map(|left| if unread.end.is_none() { left.saturating_sub(expected) } else { left });
        if at > 0 && (enough || (left == Some(0) && unread.end.is_none())) {
            // The requests are expected to return all keys that are left.
            return false;
        }
        let end = sizer.end(&unread.start, unread.end.as_deref(), left);
        let end = end.filter(|end| range_end.is_none_or(|range_end| end.as_slice() < range_end));
        let most = limit.map_or(sizer.limit(), |limit| limit.min(sizer.limit()));
        let window = Window { start: unread.start.clone(), end, limit: most, corrections: sizer.corrections() };
        let keys = sizer.wanted().min(most).min(left.unwrap_or(u64::MAX)).max(1);
        let behind = window.end.clone().filter(|end| Some(end) != unread.end.as_ref()).map(|start| UnreadRange {
            start,
            end: unread.end.clone(),
            keys: unread.keys.map(|left| left.saturating_sub(keys)),
        });
        if let Some(part) = self.parts.get_mut(at) {
            *part = QueuedPart::Requested(send(window), keys);
        }
        if let Some(behind) = behind {
            self.parts.insert(at.saturating_add(1), QueuedPart::Unread(behind));
        }
        true
    }

    /// Replaces the last part, whose end is that of the range, with a request, if it is not requested yet.
    pub(crate) fn request_last(&mut self, send: impl FnOnce(&UnreadRange) -> T) {
        if let Some(part) = self.parts.back_mut()
            && let QueuedPart::Unread(unread) = &*part
        {
            *part = QueuedPart::Requested(send(unread), u64::MAX);
        }
    }

    /// Removes the first part if it is requested.
    pub(crate) fn take_front(&mut self) -> Front<T> {
        match self.parts.pop_front() {
            None => Front::End,
            Some(QueuedPart::Requested(request, _)) => Front::Requested(request),
            Some(unread) => {
                self.parts.push_front(unread);
                Front::Unread
            }
        }
    }

    /// A request returns to the front: it has more to deliver.
    pub(crate) fn resume(&mut self, request: T) {
        self.parts.push_front(QueuedPart::Requested(request, u64::MAX));
    }

    /// After the page of the first part: the keys of its window that were not returned are read next.
    pub(crate) fn continue_after(&mut self, page: &Page) {
        let Some(last) = page.kvs.last().filter(|_| page.more) else { return };
        let keys = page.count.checked_sub(page.kvs.len() as u64).filter(|keys| *keys > 0);
        self.put_back(UnreadRange { start: successor(&last.key), end: page.end.clone(), keys });
    }

    /// Nothing is left to read.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
    }
}
