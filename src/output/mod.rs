//! All output of the program: data to stdout, everything else to stderr.

mod allocated;
mod allocations;
mod answer;
pub mod answers;
pub mod bytes;
pub mod contract;
mod decode;
mod difference;
mod error;
mod event;
mod gc;
pub mod json;
pub mod json_text;
mod live;
mod locks;
mod metadata;
mod out;
mod progress;
mod properties;
mod question;
mod raw;
mod record;
mod sanitize;
mod screen;
mod screen_state;
mod secret_prompt;
mod settings;
mod sink;
mod table;
mod text;
mod trailer;
mod tree;
mod value_diff;
mod yaml;

pub use allocated::{AllocatedRow, ReleasedRow, RenewedRow};
pub use allocations::{AllocationEvent, AllocationRow, IdRow, LookupRow, NodeRow, ProblemRow};
pub use answer::Report;
pub use answers::{
    AccessSummary, ActivityPeriod, ActivityRecord, ActivityRow, AdviceAnswer, AdviceRow, AuthChangeRow,
    AuthStatusAnswer, CheckAnswer, CheckPlanRow, CheckedItem, CheckedRule, ChosenContext, ClockRow, ClusterMemberRow,
    CompactAnswer, ConsistencyAnswer, ContextRow, CopyRow, Count, DamageRow, DeleteAnswer, Diagnosis, DowngradeAnswer,
    DowngradeChangeRow, DowngradeMemberRow, DryRunRow, Fact, FactValue, FeatureRow, ForecastAnswer, ForecastRow,
    GrantedRoleRow, HashRow, HistoryRow, KeyDifferenceRow, KeyNameRow, LatencyAnswer, LatencyRow, LeaseKeys, LeaseRow,
    LoadAnswer, MemberRow, MembershipRow, MirrorComparison, MirrorRow, NewContextRow, PermissionRow, ProbesRow,
    PutAnswer, RangeColumns, ReadMemberRow, RevisionOnly, RoleAnswer, RoleNameRow, RoundRow, SavedSnapshot, SettingRow,
    SpaceRow, StatusAnswer, StepRow, StepState, StoredMemberRow, TxnAnswer, UserAnswer, UserNameRow, VerifiedSnapshot,
    VersionRow, WhoCanAnswer, WhoCanRow,
};
pub use difference::{ChangeCounts, DifferenceRow, DifferenceSummary, DifferencesInBranch, RestoreAnswer, RestoreRow};
pub use error::{ErrorView, FailedCondition};
pub use event::{ChangeKind, EventRow, StatusRow};
pub use gc::{GcRound, IdGarbageRow, LockGarbageRow, SweepCounts};
pub use locks::{LeaderRow, LockAnswer, LockRow};
pub use metadata::{ExplanationAnswer, FindingRow, GcPart, GcPhase, MetadataRow, PartCounts, PathRow};
pub use out::Out;
pub use progress::Progress;
pub use question::Confirm;
pub use record::{
    Field, InputRecord, KeyOnly, LeasedRecord, Record, RecordError, Tone, Value, Visibility, key_of_record,
};
pub use sanitize::{is_safe, sanitize};
pub use screen::Screen;
pub use secret_prompt::SecretAnswer;
pub use settings::{ColorChoice, Format, Settings};
pub use sink::Sink;
pub use trailer::{Trailer, TrailerLine};
pub use tree::{BranchRow, HistoryUsageRow, TreeLines, UsageKind, UsageRow};
pub use value_diff::{DiffLine, DiffLineKind, ValueDiff, is_text};
