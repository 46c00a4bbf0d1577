//! The cluster of a command: its endpoints by DNS, and how a question names it.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Context;
use crate::transport::discovery::discover;
use crate::transport::{ConnectOptions, DiscoveryOutcome, Endpoint, Scheme, SrvDiscovery};

/// A wait that lasts this long is announced.
const ANNOUNCE_AFTER: Duration = Duration::from_secs(2);

/// Endpoints that a question names.
const NAMED_ENDPOINTS: usize = 3;

impl Context {
    /// The options with the endpoints that SRV records name, if they are to be looked up. That blocks this thread, up to
    /// the dial timeout, or as long as `--connect-wait` says.
    pub(super) fn discovered(&self, mut connect: ConnectOptions) -> ConnectOptions {
        let Some(wanted) = connect.discovery.clone() else { return connect };
        let outcome = wait_on_this_thread(async {
            tokio::select! {
                biased;
                () = self.signals.cancel().cancelled() => None,
                () = self.deadline_passed() => None,
                outcome = self.discover(&wanted, &connect) => Some(outcome),
            }
        });
        // After a signal or the deadline, the first request ends the command.
        let Some(outcome) = outcome.flatten() else { return connect };
        for answer in &outcome.answers {
            self.out.detail(&format!("discovery: {answer}"));
        }
        for warning in &outcome.warnings {
            self.out.warn(warning);
        }
        let has_secret = connect.credentials.is_some() || connect.token.is_some();
        let exposed = |endpoint: &&Endpoint| endpoint.scheme == Scheme::Plain && !endpoint.is_local();
        if let Some(endpoint) = outcome.endpoints.iter().find(exposed).filter(|_| has_secret) {
            let text = format!("the password or the token is sent to {endpoint} without encryption; DNS named it");
            self.out.warn_always(&text);
        }
        if outcome.failure.is_some() {
            // That was waited for.
            connect.connect_wait = None;
        }
        connect.with_discovered(outcome)
    }

    async fn discover(&self, wanted: &SrvDiscovery, connect: &ConnectOptions) -> DiscoveryOutcome {
        let started = Instant::now();
        let mut announced = false;
        loop {
            let mut lookup = pin!(discover(wanted, connect.dial_timeout));
            let outcome = match timeout(ANNOUNCE_AFTER, &mut lookup).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    announced = true;
                    self.out.note(&format!("waiting for the SRV records of {}", wanted.domain));
                    lookup.await
                }
            };
            let (Some(failure), Some(wait)) = (&outcome.failure, &connect.connect_wait) else { return outcome };
            if wait.limit.is_some_and(|limit| started.elapsed() + wait.interval > limit) {
                return outcome;
            }
            if !announced && started.elapsed() >= ANNOUNCE_AFTER.saturating_sub(wait.interval) {
                announced = true;
                self.out.note(&format!("waiting for the SRV records of {}: {}", wanted.domain, failure.cause));
            }
            tokio::time::sleep(wait.interval).await;
        }
    }

    /// The context or the file, the endpoints and the cluster's ID, for a question.
    pub(super) fn format_cluster(&self) -> String {
        let store = self.store();
        let file = self.config.file.as_ref().map(|file| format!("file {}", file.display()));
        let source = self.config.context.as_ref().map(|name| format!("context {name}")).or(file);
        let endpoints = &store.options().endpoints;
        let mut named: Vec<String> = endpoints.iter().take(NAMED_ENDPOINTS).map(ToString::to_string).collect();
        if let Some(more) = endpoints.len().checked_sub(NAMED_ENDPOINTS).filter(|more| *more > 0) {
            named.push(format!("{more} more"));
        }
        let cluster = store.known_cluster().or_else(|| {
            // A question must not wait for long for something that it can do without.
            wait_on_this_thread(async {
                let asked = store.until(Instant::now() + store.options().op_timeout);
                tokio::select! {
                    biased;
                    () = self.signals.cancel().cancelled() => None,
                    status = asked.member_status() => status.ok().map(|status| status.cluster).filter(|id| *id != 0),
                }
            })
            .flatten()
        });
        let cluster = cluster.map_or_else(|| "cluster ID unknown".to_owned(), |id| format!("cluster {id:x}"));
        let parts: Vec<String> = source.into_iter().chain([named.join(", "), cluster]).collect();
        format!(" ({})", parts.join("; "))
    }
}

/// Runs a future to its end while this thread waits, also inside the runtime; `None` outside of one.
fn wait_on_this_thread<T>(future: impl Future<Output = T>) -> Option<T> {
    let runtime = tokio::runtime::Handle::try_current().ok()?;
    Some(tokio::task::block_in_place(|| runtime.block_on(future)))
}
