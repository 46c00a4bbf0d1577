//! What the members of a cluster say of themselves, and what follows from it.
//!
//! A scan asks all members once; the cluster's health, the advice and the forecast are derived from scans without I/O.

pub mod advice;
pub(crate) mod certificates;
mod cluster_health;
mod comparable;
pub(crate) mod consistency;
pub(crate) mod differences;
pub(crate) mod error;
pub mod forecast;
pub(crate) mod histogram;
pub(crate) mod http_checks;
pub(crate) mod latency;
pub(crate) mod observation;
pub(crate) mod probes;
pub(crate) mod quorum;
pub(crate) mod scan;
pub(crate) mod versions;
mod voters;
pub(crate) mod write_probe;

pub use certificates::{CertificateError, CertificateFact, CertificateRole, certificates};
pub use consistency::{ConsistencyReport, ConsistencyVerdict, MemberHash, check_consistency};
pub use differences::{KeyCopy, KeyDifference};
pub use error::ScanError;
pub use histogram::LatencyHistogram;
pub use http_checks::probe_members;
pub use latency::{LatencyPlan, LatencyReport, ProbeKind, ProbeSeries, measure_latency};
pub use probes::{FeatureGate, HealthCheck, MemberProbes};
pub use quorum::QuorumProof;
pub use scan::{
    ClusterHealth, ClusterScan, MemberObservation, QuorumEvidence, format_causes, scan_cluster, scan_cluster_again,
};
pub use versions::{Consequence, DEFRAG_CRASH, KnownProblem, defrag_problems, fixed_release, known_problems};
pub use voters::{VoterChange, VoterCount, VoterVerdict};
pub use write_probe::{WriteProbeError, write_probe};
