//! The copies of other clusters' IDs that Cilium's kvstoremesh keeps.
//!
//! Wire format: `StateToCachePrefix` in `pkg/kvstore` of Cilium: what lies below `cilium/state/...` in another cluster is
//! copied to `cilium/cache/.../<cluster>/`.

use crate::kvstore::{Error, KeyRange, ReadOptions, Store};

/// The names of the clusters below [`Layout::copies`](super::Layout::copies), sorted. The keys of each cluster are
/// skipped.
///
/// # Errors
/// etcd is unreachable or rejects a request.
pub async fn copied_clusters(store: &Store, copies: &KeyRange) -> Result<Vec<Vec<u8>>, Error> {
    let prefix = copies.start.as_slice();
    let options = ReadOptions { keys_only: true, ..ReadOptions::default() };
    let mut reader = store.read(copies, options).without_prefetch();
    let mut clusters: Vec<Vec<u8>> = Vec::new();
    while let Some(page) = reader.next().await? {
        for kv in &page {
            let Some(rest) = kv.key.strip_prefix(prefix) else { continue };
            let Some(end) = rest.iter().position(|byte| *byte == b'/') else { continue };
            let Some(cluster) = rest.get(..end).filter(|cluster| !cluster.is_empty()) else { continue };
            if clusters.last().is_none_or(|last| last != cluster) {
                clusters.push(cluster.to_vec());
            }
        }
        let last = page.last().and_then(|kv| kv.key.strip_prefix(prefix));
        if let (Some(last), Some(cluster)) = (last, clusters.last()) {
            let branch = [cluster.as_slice(), b"/"].concat();
            if last.starts_with(&branch) {
                reader.skip(&[prefix, branch.as_slice()].concat());
            }
        }
    }
    Ok(clusters)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::allocator::{DEFAULT_BASE, Layout};

    #[test]
    fn the_copies_of_other_clusters_are_in_the_cache() {
        let copies = |base: &str| Layout::new(base.as_bytes()).unwrap().copies().map(|range| range.start);
        assert_eq!(copies(DEFAULT_BASE).unwrap(), b"cilium/cache/identities/v1/");
        assert_eq!(copies("/a/state/state").unwrap(), b"/a/cache/state/");
        assert_eq!((copies("team/ids"), copies("states/v1")), (None, None));
    }
}
