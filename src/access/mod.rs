//! Changes of users, roles and permissions: one at a time, with their outcome, and which of them would lock the caller out.
//! Users and roles as a file: the plan that leads to it, and its execution. Who may access a range of keys.

pub mod apply;
pub mod change;
pub mod document;
pub mod file_schema;
pub mod file_text;
pub mod lockout;
pub mod plan;
pub mod state;
pub mod who_can;
pub mod words;

pub use apply::{AccessApplier, AccessApplyError};
pub use change::{AuthChange, ChangeOutcome, execute};
pub use document::{MAX_FILE_BYTES, parse_access_file};
pub use file_schema::access_file_schema;
pub use file_text::{access_file_data, render_access_file};
pub use lockout::{AuthState, Lockout, check_lockout};
pub use plan::{AccessEffect, AccessPlan, KeptEntry, PlanRules, PlannedChange, plan_access};
pub use state::{AccessState, ObservedAccess, read_access};
pub use who_can::{RolePermission, UserAccess, who_can};

/// This many random bytes of the system's generator, in hex; `None` if it fails.
pub fn random_hex(bytes: usize) -> Option<String> {
    let mut random = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    Some(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
