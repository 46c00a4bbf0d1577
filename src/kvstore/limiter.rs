//! At most so many requests a second.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Spaces requests evenly; the first goes at once.
#[derive(Debug)]
pub(crate) struct Limiter {
    gap: Duration,
    next: Mutex<Instant>,
}

impl Limiter {
    /// `qps` is requests a second, above 0.
    pub(crate) fn new(qps: f64) -> Self {
        Self { gap: Duration::from_secs_f64(1.0 / qps), next: Mutex::new(Instant::now()) }
    }

    /// Waits for this caller's turn.
    pub(crate) async fn turn(&self) {
        let mine = {
            let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mine = (*next).max(Instant::now());
            *next = mine + self.gap;
            mine
        };
        sleep_until(mine).await;
    }
}
