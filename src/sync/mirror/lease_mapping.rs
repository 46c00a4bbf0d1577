//! Which lease of the destination stands for a lease of the source. Pure.

use crate::kvstore::LeaseId;

/// The parameters of FNV-1a with 64 bits. The hash is part of the data in the destination: a restarted mirror finds its
/// leases by it.
const FNV_OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Derives the IDs of the destination's leases from those of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseMapping {
    /// The hash of what is the same for all leases of the mirror; `None` for a mirror whose keys have no leases.
    mirror: Option<u64>,
}

impl LeaseMapping {
    /// The mapping of a mirror with this absolute place key.
    pub fn new(source_cluster: u64, place: &[u8]) -> Self {
        let hash = fnv(FNV_OFFSET_BASIS, b"kvadm-mirror");
        let hash = fnv(hash, &source_cluster.to_be_bytes());
        Self { mirror: Some(fnv(hash, place)) }
    }

    /// Whether keys have leases.
    pub fn is_on(self) -> bool {
        self.mirror.is_some()
    }

    /// The lease of a key whose lease in the source is this one; `None` if the key has no lease in the destination.
    pub fn of(self, source: Option<LeaseId>) -> Option<LeaseId> {
        let hash = fnv(self.mirror?, &source?.0.to_be_bytes());
        // 63 bits: etcd shows leases as signed numbers. 0 means "no lease".
        Some(LeaseId((hash & i64::MAX.unsigned_abs()).cast_signed().max(1)))
    }
}

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Two of the reference values of the hash's authors.
        assert_eq!(fnv(FNV_OFFSET_BASIS, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv(FNV_OFFSET_BASIS, b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_lease_keeps_its_id_in_all_versions_of_kvadm() {
        let mapping = LeaseMapping::new(0xabc, b"/app.kvadm-mirror");
        assert_eq!(mapping.of(Some(LeaseId(0x1234))), Some(LeaseId(0x3d50_1023_87d1_c76f)));
    }

    #[test]
    fn leases_clusters_and_places_have_leases_of_their_own() {
        let mut ids = HashSet::new();
        for (cluster, place) in [(1, "a"), (1, "b"), (2, "a")] {
            let mapping = LeaseMapping::new(cluster, place.as_bytes());
            ids.extend((1..1000).chain([i64::MAX, i64::MIN, -1]).filter_map(|id| mapping.of(Some(LeaseId(id)))));
            assert_eq!(mapping.of(None), None);
        }
        assert_eq!(ids.len(), 3 * 1002);
        assert!(ids.iter().all(|id| id.0 > 0));
        assert_eq!(LeaseMapping::default().of(Some(LeaseId(1))), None);
    }
}
