//! One level of the tree of keys, without reading what lies below it.
//!
//! After a child with keys of its own, the search for the next child starts in a small window of similar names and
//! widens it step by step. (etcd <= 3.6 counts the whole range of a limited read.)

use crate::kvstore::{Error, KeyRange, KeySelector, Op, OpResult, Retry, Store, Txn};

/// Keys in one answer: enough for many leaves at once, few if all keys are below one child.
const PAGE: i64 = 32;

/// Something right below a prefix.
#[derive(Clone, Copy)]
pub struct Child<'a> {
    /// Its first key.
    key: &'a [u8],
    /// Up to and with the slash; the whole key of a leaf.
    len: usize,
}

impl<'a> Child<'a> {
    /// The key, or the prefix up to and with the next slash.
    pub fn name(self) -> &'a [u8] {
        &self.key[..self.len]
    }

    /// Whether it is a key, and not a prefix.
    pub fn is_leaf(self) -> bool {
        self.len == self.key.len()
    }

    /// If the first key is an immediate child: its name without the slash, and the rest of the key.
    pub fn holder(self) -> Option<(&'a [u8], &'a [u8])> {
        let (name, below) = self.key.split_at(self.len);
        let right = !below.is_empty() && !below.contains(&b'/');
        right.then(|| (&name[..name.len() - 1], below))
    }
}

/// Passes the children of `typed` to `more` in key order until it returns false. Stops without an error if a request
/// fails.
pub async fn children(store: &Store, typed: &[u8], more: &mut dyn FnMut(Child<'_>) -> bool) {
    let whole = KeyRange::prefix(typed);
    // The next window; without an end, the rest of them all.
    let (mut start, mut end) = (typed.to_vec(), None::<Vec<u8>>);
    while whole.contains(&start) {
        end = end.filter(|end| whole.contains(end));
        let range = KeyRange { start: start.clone(), end: end.clone().or_else(|| whole.end.clone()) };
        let Ok(keys) = page(store, range).await else { return };
        let full = i64::try_from(keys.len()).is_ok_and(|len| len >= PAGE);
        // Behind the last child, and up to where its nearest neighbours are.
        let mut last: Option<(Vec<u8>, Option<Vec<u8>>)> = None;
        for key in &keys {
            if last.as_ref().is_some_and(|(behind, _)| key < behind) {
                continue;
            }
            let slash = key[typed.len()..].iter().position(|byte| *byte == b'/');
            let child = Child { key, len: slash.map_or(key.len(), |at| typed.len() + at + 1) };
            if !more(child) {
                return;
            }
            let Some(next) = child.behind() else { return };
            last = Some(next);
        }
        (start, end) = match (last, end) {
            (Some((behind, near)), None) if full => (behind, near),
            (Some((behind, near)), Some(end)) if full || behind > end => (behind, near),
            // The window is exhausted; the next one covers all keys that share one byte less.
            (_, Some(end)) => {
                let wider = above(&end[..end.len() - 1]);
                (end, wider)
            }
            (_, None) => return,
        };
    }
}

impl Child<'_> {
    /// Start of the keys after this child, and an end close after the next child.
    fn behind(self) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let name = self.name();
        if self.is_leaf() {
            return Some(([name, &b"\0"[..]].concat(), above(&name[..name.len() - 1])));
        }
        Some((above(name)?, above(&name[..name.len() - 1]).and_then(|next| above(&next))))
    }
}

/// The smallest key above all keys with this prefix.
fn above(prefix: &[u8]) -> Option<Vec<u8>> {
    KeyRange::prefix(prefix).end
}

async fn page(store: &Store, range: KeyRange) -> Result<Vec<Vec<u8>>, Error> {
    let get = Op::Get { over: KeySelector::Range(range), revision: 0, keys_only: true, count_only: false, limit: PAGE };
    let txn = Txn { then: vec![get], ..Txn::default() };
    let answer = store.txn("complete", &txn, None, Retry::Read).await?;
    Ok(match answer.results.into_iter().next() {
        Some(OpResult::Get { kvs, .. }) => kvs.into_iter().map(|kv| kv.key).collect(),
        _ => Vec::new(),
    })
}
