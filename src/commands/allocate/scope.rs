//! Options that select an allocator's keys; also used by `gc ids` and `gc locks`.

use std::ffi::{OsStr, OsString};

use clap::Args;

use crate::allocator::{
    ClusterConfig, DEFAULT_BASE, IdRange, Layout, RangeError, ReservedLabel, check_key, check_node, cluster_config_key,
    label_key, reserved_label,
};
use crate::args::{KeyText, bytes_of};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::bytes;

/// Base of the allocator's keys.
#[derive(Args, Clone, Debug)]
pub struct BaseArgs {
    /// Base of the allocator's keys
    #[arg(long, value_name = "PREFIX", default_value = DEFAULT_BASE, help_heading = "Allocator")]
    base: OsString,
}

impl BaseArgs {
    /// The paths below the base.
    ///
    /// # Errors
    /// A usage error if Cilium's path cleaning would alter the base.
    pub fn layout(&self) -> Result<Layout, Failure> {
        Layout::new(&bytes_of(&self.base)).map_err(|error| Failure::usage(format!("--base: {error}")))
    }
}

/// Range of allocatable IDs.
#[derive(Args, Clone, Debug)]
pub struct IdRangeArgs {
    /// Smallest ID
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = parse_number, help_heading = "Allocator")]
    min: u64,
    /// Largest ID
    #[arg(long, value_name = "N", default_value_t = 65535, value_parser = parse_number, help_heading = "Allocator")]
    max: u64,
    /// Bits set in every ID in addition: a cluster ID shifted left by 16; decimal or 0x…
    #[arg(long, value_name = "BITS", default_value_t = 0, value_parser = parse_number, help_heading = "Allocator")]
    prefix_mask: u64,
    /// Cluster ID, 0 to 255: prefix mask N << 16 (with 511 clusters: --cluster)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=255), conflicts_with = "prefix_mask",
          help_heading = "Allocator")]
    cluster_id: Option<u64>,
    /// Take the cluster ID from the key cilium/cluster-config/NAME
    #[arg(long, value_name = "NAME", conflicts_with_all = ["prefix_mask", "cluster_id"], help_heading = "Allocator")]
    cluster: Option<OsString>,
}

fn range_failure(error: &RangeError) -> Failure {
    Failure::usage(error.to_string()).hint("change --min, --max, --prefix-mask or --cluster-id")
}

impl IdRangeArgs {
    /// The range. Reads the configuration of the cluster, if one is named.
    ///
    /// # Errors
    /// A usage error for a range that is not valid or a cluster that does not exist; [`Exit::Refused`] for a key that
    /// does not hold a cluster's configuration; or etcd is unreachable or rejects the request.
    pub async fn range(&self, ctx: &Context) -> Result<IdRange, Failure> {
        let Some(name) = &self.cluster else {
            let mask = self.cluster_id.map_or(self.prefix_mask, |id| ClusterConfig::with_id(id).prefix_mask());
            return IdRange::new(self.min, self.max, mask).map_err(|error| range_failure(&error));
        };
        let name = bytes_of(name);
        let Some(key) = cluster_config_key(&name) else {
            return Err(Failure::usage(format!("--cluster: '{}' is not the name of a cluster", bytes::escape(&name))));
        };
        let shown = bytes::escape(&key);
        let Some(found) = ctx.store().get(&key, 0, None).await?.0 else {
            return Err(Failure::usage(format!("--cluster: key not found: {shown}"))
                .hint("'kvadm list cilium/cluster-config/' lists the clusters; --cluster-id gives the ID itself"));
        };
        let config = ClusterConfig::parse(&found.value).map_err(|error| {
            let text = format!("{shown} does not hold a cluster's configuration: {error}");
            Failure::new(Exit::Refused, text).hint("give the cluster's ID with --cluster-id")
        })?;
        config.range(self.min, self.max).map_err(|error| range_failure(&error))
    }
}

/// Node whose references are used.
#[derive(Args, Clone, Debug)]
pub struct NodeArgs {
    /// Node name in the references, such as its IP address [default: the host name]
    #[arg(long, value_name = "NAME", help_heading = "Allocator")]
    node: Option<OsString>,
}

impl NodeArgs {
    /// The node's name.
    ///
    /// # Errors
    /// A usage error if the name cannot be the last part of a path.
    pub fn name(&self) -> Result<Vec<u8>, Failure> {
        let name = match &self.node {
            Some(name) => name.clone(),
            None => nix::unistd::gethostname()
                .map_err(|error| Failure::new(Exit::Bug, format!("cannot read the host name: {error}")))?,
        };
        let name = bytes_of(&name);
        check_node(&name).map_err(|error| Failure::usage(format!("--node: '{}' {error}", bytes::escape(&name))))?;
        Ok(name)
    }
}

/// Parses a key given on the command line.
///
/// # Errors
/// A usage error for a bad escape, or for a key that Cilium's path cleaning would alter.
pub fn parse_key(text: KeyText, given: &OsStr) -> Result<Vec<u8>, Failure> {
    let key = text.bytes(given)?;
    validate_key(key)
}

/// The key of these labels.
///
/// # Errors
/// A usage error for labels that make no key.
pub fn key_of_labels(labels: &[String]) -> Result<Vec<u8>, Failure> {
    let key = label_key(labels).map_err(|error| Failure::usage(format!("--label: {error}")))?;
    validate_key(key.into_bytes())
}

/// Refuses keys to which Cilium gives a fixed ID.
///
/// # Errors
/// A usage error for the first such key.
pub fn refuse_reserved(keys: &[Vec<u8>]) -> Result<(), Failure> {
    match keys.iter().find_map(|key| reserved_label(key)) {
        Some(label) => Err(Failure::usage(format!("no ID to allocate: {}", format_reserved(label)))),
        None => Ok(()),
    }
}

/// Why a key of reserved labels has no ID in etcd.
pub fn format_reserved(label: ReservedLabel) -> String {
    format!("Cilium gives 'reserved:{}' the fixed ID {}, which is not in etcd", label.name, label.id)
}

/// Checks that a key is valid, and returns it.
///
/// # Errors
/// A usage error for a key that Cilium's path cleaning would alter.
pub fn validate_key(key: Vec<u8>) -> Result<Vec<u8>, Failure> {
    match check_key(&key) {
        Ok(()) => Ok(key),
        Err(error) => Err(Failure::usage(format!("key '{}' {error}", bytes::escape(&key)))
            .hint("path cleaning can turn two keys into one: give the key in its cleaned form")),
    }
}

fn parse_number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| error.to_string())
}
