//! Records of the verbs, other than keys.

mod access;
mod activity;
mod advice;
mod auth_file;
mod check;
mod compact;
mod contexts;
mod diagnosis;
mod downgrade;
mod dry_run;
mod health;
mod keys;
mod latency;
mod lease;
mod membership;
mod mirror;
mod snapshot;
mod status;
mod txn;

pub use access::{
    AuthChangeRow, AuthStatusAnswer, GrantedRoleRow, PermissionRow, RangeColumns, RoleAnswer, RoleNameRow, UserAnswer,
    UserNameRow,
};
pub use activity::{ActivityPeriod, ActivityRecord, ActivityRow};
pub use advice::{AdviceAnswer, AdviceRow};
pub use auth_file::{AccessSummary, WhoCanAnswer, WhoCanRow};
pub use check::{CheckAnswer, CheckPlanRow, CheckedItem, CheckedRule};
pub use compact::{CompactAnswer, RoundRow, SpaceRow};
pub use contexts::{ChosenContext, ContextRow, NewContextRow};
pub use diagnosis::{Diagnosis, Fact, FactValue, StepRow, StepState};
pub use downgrade::{DowngradeAnswer, DowngradeChangeRow, DowngradeMemberRow};
pub use dry_run::DryRunRow;
pub use health::{ConsistencyAnswer, CopyRow, ForecastAnswer, ForecastRow, HashRow, KeyDifferenceRow};
pub use keys::{
    ClockRow, Count, DeleteAnswer, HistoryRow, LoadAnswer, PutAnswer, ReadMemberRow, RevisionOnly, SettingRow, Tally,
    VersionRow,
};
pub use latency::{LatencyAnswer, LatencyRow};
pub use lease::{KeyNameRow, LeaseKeys, LeaseRow};
pub use membership::{ClusterMemberRow, MembershipRow};
pub use mirror::{MirrorComparison, MirrorRow};
pub use snapshot::{DamageRow, SavedSnapshot, StoredMemberRow, VerifiedSnapshot};
pub use status::{FeatureRow, MemberRow, ProbesRow, StatusAnswer};
pub use txn::TxnAnswer;

use super::answer::Report;
use super::record::{Field, Record, Tone, Value, Visibility, always, data, spare, table};

/// A row of a report that borrows its record.
pub(super) struct Borrowed<'a>(pub(super) &'a dyn Record);

impl<'a> Borrowed<'a> {
    /// Rows that borrow these records.
    pub(super) fn all<R: Record>(records: &'a [R]) -> impl Iterator<Item = Box<dyn Record + 'a>> {
        records.iter().map(|record| Box::new(Self(record)) as Box<dyn Record>)
    }
}

impl Record for Borrowed<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        self.0.fields(visit);
    }
}
