//! What the members of a cluster say of themselves, and what follows from it.
//!
//! A scan asks all members once; the cluster's health, the advice and the forecast are derived from scans without I/O.

pub(crate) mod error;
pub(crate) mod quorum;
pub(crate) mod scan;

pub use error::ScanError;
pub use quorum::QuorumProof;
pub use scan::{ClusterHealth, ClusterScan, MemberObservation, QuorumEvidence, format_causes, scan_cluster};
