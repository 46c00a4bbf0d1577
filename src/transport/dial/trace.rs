//! The trace of one dial: its phase, for the message of a timeout, and everything `status --diagnose` shows.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::transport::tls::handshake_observer::HandshakeObserver;

/// A phase of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DialPhase {
    Waiting,
    /// Looking up the SRV records of a domain, which happens before the dial.
    Discovering,
    Resolving,
    Connecting,
    Handshake,
    /// Waiting for the peer's SETTINGS.
    Silence,
}

/// What happened during a dial.
#[derive(Clone, Debug, Default)]
pub(crate) struct DialLog {
    /// The phases with their start, in order.
    pub(crate) entered: Vec<(DialPhase, Instant)>,
    /// The end of the last phase.
    pub(crate) ended: Option<Instant>,
    /// The phase to blame, if the failure appeared only in a later one.
    pub(crate) failed_phase: Option<DialPhase>,
    /// The addresses of the name.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The addresses that failed, with the cause.
    pub(crate) failed: Vec<(SocketAddr, String)>,
    /// The address that accepted the connection.
    pub(crate) peer: Option<SocketAddr>,
    /// The negotiated TLS version and cipher suite.
    pub(crate) negotiated: Option<(String, String)>,
}

/// The trace of one dial.
#[derive(Debug, Default)]
pub(crate) struct DialTrace {
    log: Mutex<DialLog>,
    handshake_observer: Option<Arc<HandshakeObserver>>,
}

impl DialTrace {
    /// A trace that also records certificates.
    pub(crate) fn watched(handshake_observer: Arc<HandshakeObserver>) -> Self {
        Self { handshake_observer: Some(handshake_observer), ..Self::default() }
    }

    pub(crate) fn handshake_observer(&self) -> Option<&Arc<HandshakeObserver>> {
        self.handshake_observer.as_ref()
    }

    pub(crate) fn enter(&self, phase: DialPhase) {
        self.lock().entered.push((phase, Instant::now()));
    }

    pub(crate) fn record(&self, note: impl FnOnce(&mut DialLog)) {
        note(&mut self.lock());
    }

    /// The present phase.
    pub(crate) fn phase(&self) -> DialPhase {
        self.lock().entered.last().map_or(DialPhase::Waiting, |(phase, _)| *phase)
    }

    pub(crate) fn log(&self) -> DialLog {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, DialLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
