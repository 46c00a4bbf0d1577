//! What the verbs answer, beside the keys themselves: the rest of the JSON contract.

mod compact;
mod diagnosis;
mod keys;
mod lease;
mod status;
mod txn;

pub use compact::{CompactAnswer, RoundRow, SpaceRow};
pub use diagnosis::{Diagnosis, Fact, FactValue, StepRow, StepState};
pub use keys::{Count, DeleteAnswer, DeletedRow, LoadAnswer, PutAnswer, RevisionOnly, SettingRow, VersionRow};
pub use lease::{KeyNameRow, LeaseKeys, LeaseRow};
pub use status::{MemberRow, StatusAnswer};
pub use txn::TxnAnswer;

use super::answer::Report;
use super::record::{Field, Record, Value, always, data, table};

/// A record that is shown as one of another's rows.
struct Borrowed<'a>(&'a dyn Record);

impl Record for Borrowed<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        self.0.fields(visit);
    }
}
