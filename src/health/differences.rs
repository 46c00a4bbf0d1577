//! Finds the keys in which members differ, by merging their listings at one revision. Memory: a page for each listing.

use std::collections::VecDeque;

use crate::kvstore::{Error, KeyRange, KeyValue, LeaseId, RangeReader, ReadOptions, Revision, Store};

/// A key that members hold differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDifference {
    /// The key, absolute.
    pub key: Vec<u8>,
    /// What differs: `missing` (not all have the key), `value`, `mod_revision`, `create_revision`, `version`, `lease`.
    pub fields: Vec<&'static str>,
    /// What each listing says of the key, in the order of the listings.
    pub copies: Vec<KeyCopy>,
}

/// What one listing says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCopy {
    /// The endpoint of the member.
    pub endpoint: String,
    /// The mod revision; `None` if the member does not have the key.
    pub mod_revision: Option<Revision>,
    /// The version of the key; 0 without the key.
    pub version: i64,
    /// The lease of the key.
    pub lease: Option<LeaseId>,
    /// The length of the value in bytes; 0 without the key.
    pub value_bytes: u64,
}

/// The differences of several listings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KeyDifferences {
    /// The first ones, in the order of the keys.
    pub first: Vec<KeyDifference>,
    /// How many there are.
    pub count: u64,
}

/// One member's listing, as far as it is read.
struct MemberListing {
    endpoint: String,
    reader: RangeReader,
    page: VecDeque<KeyValue>,
}

impl MemberListing {
    async fn fill(&mut self) -> Result<(), Error> {
        if self.page.is_empty() {
            self.page.extend(self.reader.next().await?.unwrap_or_default());
        }
        Ok(())
    }

    /// Takes the next key if it is this one.
    fn take(&mut self, key: &[u8]) -> Option<KeyValue> {
        self.page.front().is_some_and(|kv| kv.key == key).then(|| self.page.pop_front())?
    }
}

/// Compares the whole stores of members at a revision. Each store is a handle for one member, for all keys. Keeps the first
/// `keep` differences and counts all.
///
/// # Errors
/// Any error of a read. [`Refusal::Compacted`](crate::kvstore::Refusal::Compacted) if the revision is compacted meanwhile.
pub async fn compare_listings(
    members: Vec<(String, Store)>,
    revision: Revision,
    keep: usize,
) -> Result<KeyDifferences, Error> {
    let options = ReadOptions { revision, ..ReadOptions::default() };
    let mut listings: Vec<MemberListing> = members
        .into_iter()
        .map(|(endpoint, store)| {
            let reader = store.serializable().read(&KeyRange::prefix(b""), options.clone());
            MemberListing { endpoint, reader, page: VecDeque::new() }
        })
        .collect();
    let mut found = KeyDifferences::default();
    loop {
        for listing in &mut listings {
            listing.fill().await?;
        }
        let Some(key) = listings.iter().filter_map(|listing| listing.page.front()).map(|kv| &kv.key).min().cloned()
        else {
            return Ok(found);
        };
        let copies: Vec<Option<KeyValue>> = listings.iter_mut().map(|listing| listing.take(&key)).collect();
        let fields = differing_fields(&copies);
        if fields.is_empty() {
            continue;
        }
        found.count = found.count.saturating_add(1);
        if found.first.len() < keep {
            let endpoints = listings.iter().map(|listing| listing.endpoint.clone());
            let copies = endpoints.zip(&copies).map(|(endpoint, kv)| copy_of(endpoint, kv.as_ref())).collect();
            found.first.push(KeyDifference { key, fields, copies });
        }
    }
}

fn copy_of(endpoint: String, kv: Option<&KeyValue>) -> KeyCopy {
    KeyCopy {
        endpoint,
        mod_revision: kv.map(|kv| kv.mod_revision),
        version: kv.map_or(0, |kv| kv.version),
        lease: kv.and_then(|kv| kv.lease),
        value_bytes: kv.map_or(0, |kv| kv.value.len() as u64),
    }
}

/// The fields in which the copies of one key differ; empty if they are equal.
fn differing_fields(copies: &[Option<KeyValue>]) -> Vec<&'static str> {
    let mut fields = Vec::new();
    if copies.iter().any(Option::is_none) && copies.iter().any(Option::is_some) {
        fields.push("missing");
    }
    let present: Vec<&KeyValue> = copies.iter().flatten().collect();
    let mut compare = |name: &'static str, differs: &dyn Fn(&KeyValue, &KeyValue) -> bool| {
        if present.windows(2).any(|pair| matches!(pair, [a, b] if differs(a, b))) {
            fields.push(name);
        }
    };
    compare("value", &|a, b| a.value != b.value);
    compare("mod_revision", &|a, b| a.mod_revision != b.mod_revision);
    compare("create_revision", &|a, b| a.create_revision != b.create_revision);
    compare("version", &|a, b| a.version != b.version);
    compare("lease", &|a, b| a.lease != b.lease);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_named() {
        let base = KeyValue {
            key: b"k".to_vec(),
            value: b"v".to_vec(),
            create_revision: 2,
            mod_revision: 3,
            version: 2,
            lease: None,
        };
        let with = |change: fn(&mut KeyValue)| {
            let mut other = base.clone();
            change(&mut other);
            differing_fields(&[Some(base.clone()), Some(other)])
        };
        assert_eq!(with(|_| ()), Vec::<&str>::new());
        assert_eq!(with(|kv| kv.value.push(1)), ["value"]);
        assert_eq!(with(|kv| kv.mod_revision = 9), ["mod_revision"]);
        assert_eq!(with(|kv| kv.create_revision = 1), ["create_revision"]);
        assert_eq!(with(|kv| kv.version = 1), ["version"]);
        assert_eq!(with(|kv| kv.lease = Some(LeaseId(5))), ["lease"]);
        assert_eq!(differing_fields(&[Some(base.clone()), None, Some(base.clone())]), ["missing"]);
        assert_eq!(differing_fields(&[Some(base.clone()), Some(base.clone()), Some(base)]), Vec::<&str>::new());
    }
}
