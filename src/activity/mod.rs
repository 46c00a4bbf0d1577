//! What changes in a store, and how much: counts per branch in constant memory, whatever the number of keys.

pub(crate) mod distinct;
pub(crate) mod levels;
pub(crate) mod monitor;
pub(crate) mod space_saving;
pub(crate) mod sparkline;
pub(crate) mod trends;

pub use distinct::DistinctEstimate;
pub use levels::BranchLevels;
pub use monitor::{
    ActivityCounts, ActivityMetric, ActivityMonitor, BranchActivity, KeyActivity, ObservedChange, PeriodActivity,
};
pub use space_saving::CounterName;
pub use sparkline::sparkline;
