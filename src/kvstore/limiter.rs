//! Limits the rate of requests (`--qps`).

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Spaces requests evenly; the first is sent at once.
#[derive(Debug)]
pub(crate) struct Limiter {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Limiter {
    /// `qps` is the number of requests per second, above 0.
    pub(crate) fn new(qps: f64) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / qps), next: Mutex::new(Instant::now()) }
    }

    /// Waits until the next request may be sent.
    pub(crate) async fn acquire(&self) {
        let slot = {
            let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let slot = (*next).max(Instant::now());
            *next = slot.checked_add(self.interval).unwrap_or(slot);
            slot
        };
        sleep_until(slot).await;
    }
}
