//! How far a verification is, and its end from another thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

/// Tells other threads how far a verification is, and lets them end it.
#[derive(Debug, Default)]
pub struct VerifyMonitor {
    cancelled: AtomicBool,
    bytes: AtomicU64,
    /// Ends the verification as well.
    token: Option<CancellationToken>,
}

impl VerifyMonitor {
    /// A verification that this token ends too.
    pub(super) fn with_token(token: CancellationToken) -> Self {
        Self { token: Some(token), ..Self::default() }
    }

    /// Ends the verification soon.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The number of bytes that were read, once for the SHA-256 and once for the pages.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts bytes; `false` if the verification is to end.
    pub(super) fn add(&self, bytes: u64) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_ended = self.token.as_ref().is_some_and(CancellationToken::is_cancelled);
        !is_ended && !self.cancelled.load(Ordering::Relaxed)
    }
}
