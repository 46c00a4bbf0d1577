//! Logs in to etcd's authentication, and again whenever etcd no longer accepts the token.
//!
//! A token is bound to the state of the users and roles at its login if it is a JWT, expires if it is a simple one, and
//! may not have reached a member yet. etcd refuses such a request before it applies it, so that it can be sent again,
//! whatever it is. clientv3 does the same (`shouldRefreshToken` in its `client/v3/client.go`).

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Channel, Client};
use http::HeaderValue;
use tokio::time::{Instant, timeout};
use tower::util::BoxCloneSyncService;

use crate::kvstore::error::{Delivery, Error, classify};
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::Request;
use crate::kvstore::store::Store;
use crate::kvstore::token::{TokenRenewals, TokenService};
use crate::transport::Notice;

/// The number of times that one request is sent again because its token is unknown. A token that is only old is renewed
/// for twice the operation timeout.
const MAX_RENEWALS: u32 = 8;

/// The number of times that a request with a token of the user's is sent again while users and roles change. A JWT that is
/// older than the change is refused each time.
const MAX_GIVEN_TOKEN_TRIES: u32 = 3;

/// The error for a token of the user's that etcd refuses. A login in its place would act as another user.
pub(crate) fn of_given_token(error: &Error) -> Error {
    let (op, message) = match error {
        Error::Refused { op, message, .. } => (*op, message.clone()),
        other => ("log in", other.to_string()),
    };
    Error::Refused { op, kind: Refusal::GivenToken, message }
}

impl Store {
    /// The library's client, logged in if there are credentials. With `leader`, a member without a leader refuses its
    /// calls at once. The login has its own operation timeout; if it fails, no request was sent.
    ///
    /// # Errors
    /// Any error of the login.
    pub(crate) async fn client(&self, op: &'static str, leader: bool) -> Result<Client, (Error, Delivery)> {
        self.log_in(op, 0).await?;
        let cell = if leader { &self.inner.with_leader } else { &self.inner.any_member };
        let build = || {
            let channel = TokenService::new(self.inner.channel.clone(), Arc::clone(&self.inner.login));
            let options = etcd_client::ConnectOptions::new().with_require_leader(leader);
            Client::from_channel(Channel::Custom(BoxCloneSyncService::new(channel)), Some(options))
        };
        let client = cell.get_or_try_init(build).await;
        client.cloned().map_err(|error| classify(op, &self.inner.channel.current(), error))
    }

    /// Logs in, unless there was a login after `generation` or there are no credentials.
    ///
    /// # Errors
    /// Any error of the login.
    pub(crate) async fn log_in(&self, op: &'static str, generation: u64) -> Result<(), (Error, Delivery)> {
        let login = &self.inner.login;
        if let Some(token) = &self.inner.options.token {
            login.use_given(header(token.expose())?);
            return Ok(());
        }
        if self.inner.options.credentials.is_none() || login.generation() > generation {
            return Ok(());
        }
        let after = self.inner.options.op_timeout;
        let logged_in = timeout(after, async {
            // Concurrent requests share one login.
            let _alone = self.inner.logging_in.lock().await;
            if login.generation() > generation { Ok(()) } else { self.authenticate(op).await }
        });
        logged_in.await.unwrap_or_else(|_| {
            let endpoint = self.inner.channel.current();
            Err((Error::Timeout { op: "log in", endpoint, after }, Delivery::NotDone))
        })
    }

    /// Logs in if there are credentials, so that the handles for members share this login. An error is left to the next
    /// request.
    pub async fn share_login(&self) {
        if self.inner.options.credentials.is_some() {
            let _ = self.ensure_ready("log in").await;
        }
    }

    async fn authenticate(&self, op: &'static str) -> Result<(), (Error, Delivery)> {
        let Some(who) = &self.inner.options.credentials else { return Ok(()) };
        let classified = |error| match classify(op, &self.inner.channel.current(), error) {
            // Whatever became of the login, the request was not sent.
            (error, Delivery::Unknown) => (error, Delivery::NotDone),
            (error, Delivery::Ambiguous) => (error, Delivery::Final),
            other => other,
        };
        let channel = Channel::Custom(BoxCloneSyncService::new(self.inner.channel.clone()));
        let mut client = Client::from_channel(channel, None).await.map_err(classified)?.auth_client();
        let token = match client.authenticate(who.user.clone(), who.password.expose().to_owned()).await {
            Ok(answer) => {
                let checked = self.check_header(answer.header(), &self.inner.channel.current());
                checked.map_err(|error| (error, Delivery::Final))?;
                Some(header(answer.token())?)
            }
            Err(error) => match classified(error) {
                (error, _) if error.is_refusal(Refusal::AuthNotEnabled) => None,
                other => return Err(other),
            },
        };
        if self.inner.login.record(token) {
            let text = "authentication is not enabled in etcd; continuing without the configured user";
            self.session.observer.notice(Notice::Warning, text);
        }
        Ok(())
    }

    /// Whether a request that etcd refused because of its token may be sent again: after a new login, or because other
    /// credentials than a token are not bound to a state of the users. `generation` is that of the refused token.
    ///
    /// # Errors
    /// A refused login, an interruption, or the command's deadline.
    pub(crate) async fn renew_token(
        &self,
        request: Request<'_>,
        error: &Error,
        generation: u64,
        renewals: &mut TokenRenewals,
    ) -> Result<bool, Error> {
        if self.inner.options.token.is_some()
            && (error.is_refusal(Refusal::BadToken)
                || error.is_refusal(Refusal::StaleAuth) && renewals.count >= MAX_GIVEN_TOKEN_TRIES)
        {
            return Err(of_given_token(error));
        }
        let has_user = self.inner.options.credentials.is_some();
        let since = *renewals.since.get_or_insert_with(Instant::now);
        let exhausted = match error.is_refusal(Refusal::StaleAuth) {
            true => since.elapsed() >= self.inner.options.op_timeout.saturating_mul(2),
            false => renewals.count >= MAX_RENEWALS,
        };
        if exhausted || !is_token_refusal(error, has_user) {
            return Ok(false);
        }
        // A member that lags behind does not know a new token yet.
        let lags = error.is_refusal(Refusal::BadToken) && self.inner.login.is_recent();
        let wait = if renewals.count == 0 && !lags { Duration::ZERO } else { renewals.backoff.next_delay() };
        renewals.count = renewals.count.saturating_add(1);
        self.session.observer.notice(Notice::Detail, &format!("{}: {error}; sending it again", request.op));
        let renewed = async {
            tokio::time::sleep(wait).await;
            if lags { Ok(()) } else { self.log_in(request.op, generation).await }
        };
        tokio::select! {
            biased;
            error = self.ended(request.op) => Err(error),
            renewed = renewed => match renewed {
                Ok(()) | Err((_, Delivery::NotDone | Delivery::Unknown)) => Ok(true),
                Err((error, Delivery::Final | Delivery::Ambiguous)) => Err(error),
            },
        }
    }
}

/// The token as a request header, which no log shows.
fn header(token: &str) -> Result<HeaderValue, (Error, Delivery)> {
    let mut header = HeaderValue::from_str(token).map_err(|_| {
        let what = "the token is not a valid header".to_owned();
        (Error::Protocol { op: "log in", what }, Delivery::Final)
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// Whether the refusal may be only about the token, so that another login can help.
fn is_token_refusal(error: &Error, has_user: bool) -> bool {
    error.is_refusal(Refusal::StaleAuth)
        || has_user && (error.is_refusal(Refusal::BadToken) || error.is_refusal(Refusal::NoUser))
}
