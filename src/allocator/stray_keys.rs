//! Keys that Cilium lists together with the masters although they are not below `id/`.
//!
//! Wire format: `pkg/kvstore/allocator` of Cilium lists the prefix `<base>/id` without a trailing slash.

use super::Layout;
use crate::kvstore::{Error, KeyRange, ReadOptions, Revision, Store};

/// Stray keys that are named; the others are counted.
const NAMED: u64 = 100;

/// Keys that begin with `<base>/id` and are not below `<base>/id/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StrayKeys {
    /// The first of them.
    pub paths: Vec<Vec<u8>>,
    /// Number of further ones.
    pub more: u64,
}

/// Finds stray keys at this revision.
///
/// # Errors
/// etcd is unreachable or rejects a request, or the revision was compacted meanwhile.
pub async fn stray_keys(store: &Store, layout: &Layout, revision: Revision) -> Result<StrayKeys, Error> {
    let mut stray = StrayKeys::default();
    for range in layout.around_masters() {
        let limit = NAMED.saturating_sub(stray.paths.len() as u64);
        let count = store.count(&range, revision, None).await?.count;
        if count == 0 {
            continue;
        }
        stray.more = stray.more.saturating_add(count.saturating_sub(limit));
        stray.paths.extend(first_keys(store, &range, revision, limit).await?);
    }
    Ok(stray)
}

async fn first_keys(store: &Store, range: &KeyRange, revision: Revision, limit: u64) -> Result<Vec<Vec<u8>>, Error> {
    let options = ReadOptions { revision, keys_only: true, limit: Some(limit), ..ReadOptions::default() };
    let (mut reader, mut paths) = (store.read(range, options), Vec::new());
    while let Some(page) = reader.next().await? {
        paths.extend(page.into_iter().map(|kv| kv.key));
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use crate::allocator::testing::layout;

    #[test]
    fn the_keys_around_the_masters_have_their_prefix_without_the_slash() {
        let [before, after] = layout().around_masters();
        for (rest, expected) in [
            ("id", [true, false]),
            ("id-", [true, false]),
            ("id/", [false, false]),
            ("id/5", [false, false]),
            ("id0", [false, true]),
            ("idx/5", [false, true]),
            ("ie", [false, false]),
            ("ic", [false, false]),
        ] {
            let path = format!("b/{rest}").into_bytes();
            assert_eq!([before.contains(&path), after.contains(&path)], expected, "{rest}");
        }
    }
}
