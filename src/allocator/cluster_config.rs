//! The configuration of a cluster, which says which IDs are the cluster's. Pure.
//!
//! Wire format: `CiliumClusterConfig` in `pkg/clustermesh/types` of Cilium, as JSON below `cilium/cluster-config/`. An
//! identity has 24 bits: the cluster's ID above the bits of the identity within the cluster.

use serde::Deserialize;
use thiserror::Error;

use super::{IdRange, RangeError};

/// Where Cilium keeps the configurations of clusters.
const PREFIX: &str = "cilium/cluster-config/";
/// Bits of an identity within its cluster, for meshes of up to 255 and of up to 511 clusters.
const IDENTITY_BITS: u32 = 16;
const IDENTITY_BITS_OF_511: u32 = 15;

/// Path of a cluster's configuration; `None` if the name is not valid.
pub fn cluster_config_key(cluster: &[u8]) -> Option<Vec<u8>> {
    let valid = !cluster.is_empty() && !cluster.contains(&b'/');
    valid.then(|| [PREFIX.as_bytes(), cluster].concat())
}

/// The configuration of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The cluster's ID; 0 if it has none.
    id: u64,
    identity_bits: u32,
}

/// Why a value is not the configuration of a cluster.
#[derive(Debug, Error)]
pub enum ClusterConfigError {
    /// It is not JSON, or a field has another type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The ID is larger than the number of clusters allows.
    #[error("the cluster ID {id} is larger than {max}")]
    Large {
        /// The ID.
        id: u64,
        /// The largest one.
        max: u64,
    },
}

#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct ConfigRecord {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    capabilities: CapabilitiesRecord,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CapabilitiesRecord {
    #[serde(rename = "maxConnectedClusters")]
    max_connected_clusters: u64,
}

impl ClusterConfig {
    /// A cluster with this ID in a mesh of up to 255 clusters.
    pub fn with_id(id: u64) -> Self {
        Self { id, identity_bits: IDENTITY_BITS }
    }

    /// Parses the value of a cluster's key.
    ///
    /// # Errors
    /// The value is not JSON of this form, or the ID is too large.
    pub fn parse(value: &[u8]) -> Result<Self, ClusterConfigError> {
        // An array would be accepted as the fields in their order.
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(value)?;
        let record: ConfigRecord = serde_json::from_value(object.into())?;
        let (max, identity_bits) = match record.capabilities.max_connected_clusters {
            511 => (511, IDENTITY_BITS_OF_511),
            _ => (255, IDENTITY_BITS),
        };
        if record.id > max {
            return Err(ClusterConfigError::Large { id: record.id, max });
        }
        Ok(Self { id: record.id, identity_bits })
    }

    /// The bits that the cluster's ID sets in each of its IDs.
    pub fn prefix_mask(&self) -> u64 {
        self.id << self.identity_bits
    }

    /// The cluster's IDs: `min` to `max`, at most the largest ID within a cluster, with the bits of the cluster's ID.
    ///
    /// # Errors
    /// An empty range, or a cluster ID whose bits overlap those of the IDs.
    pub fn range(&self, min: u64, max: u64) -> Result<IdRange, RangeError> {
        let largest = (1 << self.identity_bits) - 1;
        IdRange::new(min, if self.id == 0 { max } else { max.min(largest) }, self.prefix_mask())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn range(text: &str) -> (u64, u64) {
        let range = ClusterConfig::parse(text.as_bytes()).unwrap().range(256, 65535).unwrap();
        (range.first(), range.last())
    }

    #[test]
    fn a_cluster_s_ids_have_its_bits() {
        assert_eq!(range("{}"), (256, 65535));
        assert_eq!(range(r#"{"id":1}"#), (65792, 131_071));
        assert_eq!(
            range(r#"{"id":255,"capabilities":{"maxConnectedClusters":255,"cached":true}}"#),
            (16_711_936, 16_777_215)
        );
        assert_eq!(range(r#"{"id":511,"capabilities":{"maxConnectedClusters":511}}"#), (16_744_704, 16_777_215));
        assert_eq!(ClusterConfig::with_id(3).range(256, 65535).unwrap().first(), 196_864);
    }

    #[test]
    fn what_is_no_configuration() {
        for text in ["", "x", "[]", "[1]", "7", r#"{"id":"1"}"#, r#"{"id":-1}"#, r#"{"id":256}"#, r#"{"id":1}x"#] {
            assert!(ClusterConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(cluster_config_key(b"west").unwrap(), b"cilium/cluster-config/west");
        assert_eq!((cluster_config_key(b""), cluster_config_key(b"a/b")), (None, None));
    }
}
