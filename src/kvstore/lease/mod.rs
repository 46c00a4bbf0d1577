//! etcd's Lease service: granting, renewing, revoking and querying leases.

pub(crate) mod keepalive;

use std::collections::HashMap;
use std::time::Duration;

use etcd_client::{LeaseGrantOptions, LeaseGrantResponse, LeaseTimeToLiveOptions};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::kvstore::backoff::{Backoff, random_bits};
use crate::kvstore::error::Error;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::{Idempotency, Request};
use crate::kvstore::store::Store;
use crate::kvstore::types::LeaseId;
use crate::transport::Notice;

/// Time limit for reading back or revoking a lease whose grant was not answered.
const CLEANUP_TIMEOUT: Duration = Duration::from_millis(500);

/// Leases are queried one by one (etcd has no request for several); this many requests run concurrently.
const CONCURRENT_REQUESTS: usize = 16;

/// The longest TTL that etcd grants, in seconds (`MaxLeaseTTL` in its `server/lease/lessor.go`).
const MAX_TTL_SECONDS: i64 = 9_000_000_000;

/// A lease with its granted and remaining TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The lease's ID.
    pub id: LeaseId,
    /// The granted TTL in seconds; it may be more than was requested.
    pub ttl: i64,
    /// The remaining TTL in seconds.
    pub left: i64,
}

/// A lease and the keys attached to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseWithKeys {
    /// The lease's ID and TTLs.
    pub grant: Grant,
    /// The keys in the namespace, relative to it, in key order. Empty if the keys were not requested.
    pub keys: Vec<Vec<u8>>,
    /// Number of keys outside the namespace.
    pub foreign: u64,
}

impl Store {
    /// Grants a lease of at least `ttl` seconds, with a random ID: a grant whose outcome is unknown is revoked, and repeated
    /// with another ID.
    ///
    /// # Errors
    /// [`Refusal::LeaseTtl`], [`Refusal::NoSpace`], or any error of the request.
    pub async fn grant(&self, ttl: i64) -> Result<Grant, Error> {
        let mut attempts = GrantAttempts::new(self);
        loop {
            match self.grant_as(LeaseId::random(), ttl).await {
                Err(error) => attempts.pause_after(error).await?,
                granted => return granted,
            }
        }
    }

    /// Grants a lease with this ID.
    ///
    /// # Errors
    /// [`Refusal::LeaseExists`] if the ID is in use; otherwise as [`Store::grant`].
    pub async fn grant_with_id(&self, id: LeaseId, ttl: i64) -> Result<Grant, Error> {
        // A lease with this ID may belong to another client, so a grant without a response can be neither checked nor
        // revoked.
        let request = Request { idempotency: Idempotency::None, ..Request::read("lease grant", &[]) };
        let answer = self
            .call(request, |client| async move {
                client.lease_client().grant(ttl, Some(LeaseGrantOptions::new().with_id(id.0))).await
            })
            .await?;
        granted(&request, id, &answer.value)
    }

    /// Grants a lease with an ID that no other client uses. The request is sent once: a second one would grant a lease anew
    /// that has expired meanwhile, with its keys.
    ///
    /// # Errors
    /// [`Error::Unknown`] if the lease is not found after a lost answer; otherwise as [`Store::grant`].
    pub(crate) async fn grant_as(&self, id: LeaseId, ttl: i64) -> Result<Grant, Error> {
        let request = Request { idempotency: Idempotency::None, ..Request::read("lease grant", &[]) };
        let result = self
            .call(request, |client| async move {
                client.lease_client().grant(ttl, Some(LeaseGrantOptions::new().with_id(id.0))).await
            })
            .await;
        let error = match result {
            Ok(answer) => return granted(&request, id, &answer.value),
            Err(error) => error,
        };
        let Error::Unknown { cause, op } = error else {
            if let Error::Interrupted { unknown: true, .. } = error {
                let _ = self.for_cleanup(CLEANUP_TIMEOUT).revoke_own(id).await;
            }
            return Err(error);
        };
        // No other client uses the random ID: if the lease exists, this request has granted it.
        match self.for_cleanup(CLEANUP_TIMEOUT).time_to_live(id).await {
            Ok(Some(granted)) => Ok(granted),
            // etcd has answered, so that it does not grant the lease any more.
            Ok(None) if cause.is_refusal(Refusal::NoSpace) => Err(*cause),
            Ok(None) | Err(_) => {
                let _ = self.for_cleanup(CLEANUP_TIMEOUT).revoke_own(id).await;
                Err(Error::Unknown { op, cause })
            }
        }
    }

    /// Revokes a lease, which deletes its keys. Returns `false` if the lease does not exist. The request is not sent twice:
    /// another client may grant the ID anew.
    ///
    /// # Errors
    /// [`Error::Unknown`], or any other error of the request.
    pub async fn revoke(&self, id: LeaseId) -> Result<bool, Error> {
        let request = Request { idempotency: Idempotency::None, ..Request::read("lease revoke", &[]) };
        let result = self.call(request, |client| async move { client.lease_client().revoke(id.0).await }).await;
        match result {
            Ok(_) => Ok(true),
            Err(error) if error.is_refusal(Refusal::LeaseNotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Revokes a lease that this command has granted with a random ID, which no other client grants anew: the request may be
    /// sent twice. Returns `false` if the lease did not exist any more.
    ///
    /// # Errors
    /// As [`Store::revoke`].
    pub async fn revoke_own(&self, id: LeaseId) -> Result<bool, Error> {
        let request = Request { idempotency: Idempotency::Conditional, ..Request::read("lease revoke", &[]) };
        let result = self.call(request, |client| async move { client.lease_client().revoke(id.0).await }).await;
        match result {
            Ok(_) => Ok(true),
            Err(error) if error.is_refusal(Refusal::LeaseNotFound) => Ok(false),
            Err(Error::Unknown { cause, .. }) if cause.is_refusal(Refusal::LeaseNotFound) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The remaining TTL of a lease; `None` if the lease does not exist.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn time_to_live(&self, id: LeaseId) -> Result<Option<Grant>, Error> {
        Ok(self.query_lease(id, false).await?.map(|lease| lease.grant))
    }

    /// The remaining TTL of a lease and its keys; `None` if the lease does not exist.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn lease_with_keys(&self, id: LeaseId) -> Result<Option<LeaseWithKeys>, Error> {
        self.query_lease(id, true).await
    }

    /// The remaining TTL of each lease; `None` for a lease that does not exist.
    ///
    /// # Errors
    /// Any error of a request.
    pub async fn time_to_live_many(&self, ids: &[LeaseId]) -> Result<HashMap<LeaseId, Option<Grant>>, Error> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let answers = self.query_leases(&ids, false).await?;
        Ok(ids.into_iter().zip(answers.into_iter().map(|answer| answer.map(|lease| lease.grant))).collect())
    }

    /// The remaining TTL of each lease and, if `keys`, its keys, in the order of `ids`.
    ///
    /// # Errors
    /// Any error of a request.
    pub async fn query_leases(&self, ids: &[LeaseId], keys: bool) -> Result<Vec<Option<LeaseWithKeys>>, Error> {
        let mut all = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CONCURRENT_REQUESTS) {
            let mut tasks = JoinSet::new();
            for (index, id) in chunk.iter().copied().enumerate() {
                let store = self.clone();
                tasks.spawn(async move { (index, store.query_lease(id, keys).await) });
            }
            let mut answers = tasks.join_all().await;
            answers.sort_by_key(|(index, _)| *index);
            for (_, answer) in answers {
                all.push(answer?);
            }
        }
        Ok(all)
    }

    async fn query_lease(&self, id: LeaseId, keys: bool) -> Result<Option<LeaseWithKeys>, Error> {
        if self.is_local() && !keys {
            return self.local_lease(id).await;
        }
        let request = Request::read("lease ttl", &[]);
        let answer = self
            .call(request, |client| async move {
                let options = LeaseTimeToLiveOptions::new();
                let options = if keys { options.with_keys() } else { options };
                client.lease_client().time_to_live(id.0, Some(options)).await
            })
            .await?
            .value;
        let (left, ttl) = (answer.ttl(), answer.granted_ttl());
        check_id(id, answer.id()).map_err(|what| request.invalid(what))?;
        if left >= 0 {
            check_ttl(ttl, 0).and_then(|()| check_ttl(left, 0)).map_err(|what| request.invalid(what))?;
        }
        let relative = |key: &Vec<u8>| key.strip_prefix(self.namespace()).map(<[u8]>::to_vec);
        let mut keys: Vec<Vec<u8>> = answer.keys().iter().filter_map(relative).collect();
        keys.sort();
        let foreign = answer.keys().len().saturating_sub(keys.len()) as u64;
        Ok((left >= 0).then_some(LeaseWithKeys { grant: Grant { id, ttl, left }, keys, foreign }))
    }

    /// The IDs of all leases, in ascending order.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn leases(&self) -> Result<Vec<LeaseId>, Error> {
        let answer = self
            .call(Request::read("lease list", &[]), |client| async move { client.lease_client().leases().await })
            .await?
            .value;
        let mut ids: Vec<LeaseId> = answer.leases().iter().map(|lease| LeaseId(lease.id())).collect();
        ids.sort_by_key(|id| id.0.cast_unsigned());
        Ok(ids)
    }

    /// Resets a lease to its full TTL; `None` if the lease does not exist.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn renew(&self, id: LeaseId) -> Result<Option<Grant>, Error> {
        match self.renew_within(id, self.options().op_timeout).await {
            Ok(_) => self.time_to_live(id).await,
            Err(error) if error.is_refusal(Refusal::LeaseNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The lease of a response to a grant.
fn granted(request: &Request<'_>, id: LeaseId, answer: &LeaseGrantResponse) -> Result<Grant, Error> {
    let ttl = answer.ttl();
    check_id(id, answer.id()).and_then(|()| check_ttl(ttl, 1)).map_err(|what| request.invalid(what))?;
    Ok(Grant { id, ttl, left: ttl })
}

/// Checks that a response is about the lease that was requested.
pub(crate) fn check_id(requested: LeaseId, answered: i64) -> Result<(), String> {
    let answered = LeaseId(answered);
    if answered == requested { Ok(()) } else { Err(format!("it is about lease {answered}, not lease {requested}")) }
}

fn check_ttl(seconds: i64, least: i64) -> Result<(), String> {
    let right = (least..=MAX_TTL_SECONDS).contains(&seconds);
    if right { Ok(()) } else { Err(format!("the lease has a TTL of {seconds} s")) }
}

/// The repetition of a grant whose outcome is unknown, with another ID each time.
pub(crate) struct GrantAttempts<'a> {
    store: &'a Store,
    started: Instant,
    backoff: Backoff,
}

impl<'a> GrantAttempts<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, started: Instant::now(), backoff: Backoff::default() }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The error, if another attempt cannot succeed or the time for retries is over.
    pub(crate) async fn pause_after(&mut self, error: Error) -> Result<(), Error> {
        match &error {
            Error::Unknown { cause, op }
                if cause.is_transient() && self.started.elapsed() < self.store.inner.retry_for =>
            {
                self.store.session.observer.notice(Notice::Detail, &format!("{op}: {cause}; retrying with another ID"));
                self.store.pause(op, self.backoff.next_delay(), error).await
            }
            _ => Err(error),
        }
    }
}

impl LeaseId {
    /// 63 random bits, never 0.
    pub(crate) fn random() -> Self {
        Self(i64::try_from(random_bits() >> 1).unwrap_or(1).max(1))
    }
}
