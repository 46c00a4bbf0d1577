//! Predicts whether the keys of the next batch of a load are missing. The prediction decides how a batch is sent, never what
//! is written.

use std::sync::{Mutex, PoisonError};

/// A load tries creations again after at most this many batches that were written although keys existed: a load that changes
/// every record sends one batch in 64 in vain.
const MAX_BATCHES_BETWEEN_TRIES: u32 = 64;

/// What the batches of a load have told about its keys; shared by the batches in flight.
#[derive(Debug, Default)]
pub struct MissingKeys(Mutex<Prediction>);

#[derive(Clone, Copy, Debug, Default)]
struct Prediction {
    /// How many batches must be written in the other form before creations are tried again; 0 to try now.
    wait: u32,
    /// The value of `wait` after the last failed try; 0 after a success.
    last_wait: u32,
}

impl MissingKeys {
    /// Whether the next batch should be sent as creations.
    pub fn are_expected(&self) -> bool {
        self.change(|prediction| prediction.wait == 0)
    }

    /// All keys of a batch were missing, and were created.
    pub fn were_created(&self) {
        self.change(|prediction| *prediction = Prediction::default());
    }

    /// A batch that was sent as creations has a key that exists.
    pub fn were_found(&self) {
        self.change(|prediction| {
            // Other batches that were in flight at the same time say the same.
            if prediction.wait == 0 {
                prediction.wait = prediction.last_wait.saturating_mul(2).clamp(1, MAX_BATCHES_BETWEEN_TRIES);
                prediction.last_wait = prediction.wait;
            }
        });
    }

    /// All records of a batch in the other form were written: their keys were missing, or had other values.
    pub fn were_written(&self) {
        self.change(|prediction| prediction.wait = prediction.wait.saturating_sub(1));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Prediction) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_changes_every_record_sends_few_batches_in_vain() {
        let keys = MissingKeys::default();
        let mut tries = 0;
        for _ in 0..10_000 {
            if keys.are_expected() {
                tries += 1;
                keys.were_found();
            } else {
                keys.were_written();
            }
        }
        assert!((7..170).contains(&tries), "{tries}");
    }

    #[test]
    fn creations_begin_again_behind_the_records_that_are_loaded() {
        let keys = MissingKeys::default();
        assert!(keys.are_expected());
        // Eight batches in flight find their keys; many more are compared and not written.
        (0..8).for_each(|_| keys.were_found());
        assert!(!keys.are_expected());
        keys.were_written();
        assert!(keys.are_expected());
        keys.were_created();
        assert!(keys.are_expected());
    }
}
