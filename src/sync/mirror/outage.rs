//! Requests that are sent until they are answered, and why they are not.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::may_pass;
use crate::kvstore::{Backoff, Error};

/// Why a side does not answer, for messages; `None` while it does.
#[derive(Clone, Debug, Default)]
pub struct Outage(Arc<Mutex<Option<String>>>);

impl Outage {
    /// The last error, if the last request failed.
    pub fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, reason: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

/// Sends a request again and again until it is answered, or refused for a reason that does not pass. The request must do
/// no harm if it is executed twice.
pub(super) async fn persist<T, F>(outage: &Outage, mut send: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut backoff = Backoff::default();
    loop {
        match send().await {
            Err(error) if may_pass(&error) => {
                outage.set(Some(error.one_line()));
                tokio::time::sleep(backoff.next_delay()).await;
            }
            other => {
                outage.set(None);
                return other;
            }
        }
    }
}
