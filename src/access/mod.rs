//! Changes of users, roles and permissions: one at a time, with their outcome, and which of them would lock the caller out.

pub mod change;
pub mod lockout;
pub mod words;

pub use change::{AuthChange, ChangeOutcome, execute};
pub use lockout::{AuthState, Lockout, check_lockout};

/// This many random bytes of the system's generator, in hex; `None` if it fails.
pub fn random_hex(bytes: usize) -> Option<String> {
    let mut random = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    Some(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
