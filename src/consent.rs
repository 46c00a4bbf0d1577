//! Proof that the user agreed to a destructive step.

/// Proof that the user agreed to a destructive step, by an answer to a prompt or by `--yes`. Functions that destroy data
/// take a reference to it, so that a caller that forgets to ask does not compile. Only the methods of
/// [`Context`](crate::context::Context) create one outside tests (`tests/house/mod.rs` checks this).
#[derive(Debug)]
pub struct Consent(());

impl Consent {
    /// Records that the user agreed.
    pub(crate) fn granted() -> Self {
        Self(())
    }
}
