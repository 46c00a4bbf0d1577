//! The token of a login, and sending it with each request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;
use tonic::body::Body;
use tower::Service;

use crate::kvstore::backoff::Backoff;

/// The request header with etcd's token (`TokenFieldNameGRPC` in its `api/v3rpc/rpctypes`).
const TOKEN_HEADER: &str = "token";

/// A member that lags behind for longer is not healthy.
const REPLICATED_WITHIN: Duration = Duration::from_millis(500);

/// The login of a command, shared by its handles for single members: etcd replicates tokens.
#[derive(Debug, Default)]
pub(crate) struct Login {
    state: Mutex<LoginState>,
}

#[derive(Debug, Default)]
struct LoginState {
    token: Option<HeaderValue>,
    /// The number of logins.
    generation: u64,
    /// When the last one ended.
    since: Option<Instant>,
    /// Whether the last login was refused because authentication is not enabled.
    disabled: bool,
}

impl Login {
    fn state(&self) -> MutexGuard<'_, LoginState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of logins so far.
    pub(crate) fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Whether the last login is so recent that it may not have reached each member yet.
    pub(crate) fn is_recent(&self) -> bool {
        self.state().since.is_some_and(|since| since.elapsed() < REPLICATED_WITHIN)
    }

    /// Whether etcd answered that authentication is not enabled.
    pub(crate) fn is_disabled(&self) -> bool {
        self.state().disabled
    }

    /// Sends this token, which no login has made, with every request.
    pub(crate) fn use_given(&self, token: HeaderValue) {
        let mut state = self.state();
        if state.generation == 0 {
            state.token = Some(token);
            state.generation = 1;
        }
    }

    /// Records a login; returns whether authentication was found to be disabled for the first time.
    pub(crate) fn record(&self, token: Option<HeaderValue>) -> bool {
        let mut state = self.state();
        let news = token.is_none() && !state.disabled;
        state.disabled = token.is_none();
        state.token = token;
        state.generation = state.generation.saturating_add(1);
        state.since = Some(Instant::now());
        news
    }
}

/// The renewals of the token during one request.
#[derive(Debug, Default)]
pub(crate) struct TokenRenewals {
    pub(crate) count: u32,
    /// When the first one began.
    pub(crate) since: Option<Instant>,
    pub(crate) backoff: Backoff,
}

/// Adds the token of the latest login to each request.
#[derive(Clone)]
pub(crate) struct TokenService<S> {
    inner: S,
    login: Arc<Login>,
}

impl<S> TokenService<S> {
    pub(crate) fn new(inner: S, login: Arc<Login>) -> Self {
        Self { inner, login }
    }
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for TokenService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> S::Future {
        if let Some(token) = self.login.state().token.clone() {
            request.headers_mut().insert(TOKEN_HEADER, token);
        }
        self.inner.call(request)
    }
}
