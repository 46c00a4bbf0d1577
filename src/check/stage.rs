//! What an evaluation is doing, for a message when it takes long.

use std::sync::{Arc, Mutex, PoisonError};

/// What an evaluation is doing, for a message when it takes long.
#[derive(Clone, Default)]
pub struct Stage(Arc<Mutex<Option<String>>>);

impl Stage {
    /// Begins a stage; `None` for one that reports itself.
    pub fn begin(&self, what: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// The present stage, such as `reading the prefix /app/`.
    pub fn text(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
