//! The health of a cluster in one word.

/// The health of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterHealth {
    /// All members are healthy.
    Healthy,
    /// The cluster works, but there is a problem.
    Degraded,
    /// Only learners answer, which follow a leader but cannot tell whether it has a quorum.
    Unknown,
    /// No write and no linearizable read is served.
    NoQuorum,
}

impl ClusterHealth {
    /// The value in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::NoQuorum => "no-quorum",
        }
    }
}
