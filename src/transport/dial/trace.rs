//! How one attempt to reach an endpoint goes: how far it has come, for the cause when time is up, and what was seen on
//! the way, for who wants to look at every step.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::transport::tls::handshake_observer::HandshakeObserver;

/// A step of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DialPhase {
    Waiting,
    Resolving,
    Connecting,
    Handshake,
    /// Until the peer speaks HTTP/2.
    Silence,
}

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct DialLog {
    /// Each step with its beginning, in order.
    pub(crate) entered: Vec<(DialPhase, Instant)>,
    /// When the last one was over, where it was.
    pub(crate) ended: Option<Instant>,
    /// The step that a failure belongs to, where it only showed later.
    pub(crate) failed_phase: Option<DialPhase>,
    /// What the name resolved to.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The addresses that would not have the connection, and why.
    pub(crate) failed: Vec<(SocketAddr, String)>,
    /// The address that took it.
    pub(crate) peer: Option<SocketAddr>,
    /// The version of TLS and the cipher that were negotiated on.
    pub(crate) negotiated: Option<(String, String)>,
}

/// One attempt's log.
#[derive(Debug, Default)]
pub(crate) struct DialTrace {
    log: Mutex<DialLog>,
    handshake_observer: Option<Arc<HandshakeObserver>>,
}

impl DialTrace {
    /// One that also looks at certificates.
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

    /// The step that the attempt is at.
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
