//! Changes of the cluster's membership. No change is sent twice: one whose answer is lost is read back from the member list.

use etcd_client::{Client, MemberAddOptions};
use tokio::time::Instant;

use crate::consent::Consent;
use crate::duration::from_now;
use crate::kvstore::backoff::Backoff;
use crate::kvstore::cluster::members::{Member, Members};
use crate::kvstore::error::Error;
use crate::kvstore::kv::compact::CHECK_TIMEOUT;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::{Idempotency, Request};
use crate::kvstore::response_header::ResponseHeader;
use crate::kvstore::store::Store;

/// How often a list is read again because the connection has changed between the read and the list.
const LIST_ATTEMPTS: u32 = 5;

/// How a change of the cluster is known to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeEvidence {
    /// etcd has answered.
    Answer,
    /// The answer was lost, and the cluster is as the change makes it.
    ReadBack,
}

/// A member that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedMember {
    /// The new member's ID.
    pub id: u64,
    /// How the change is known to be done.
    pub evidence: ChangeEvidence,
}

impl Store {
    /// The member list, with all changes that were done before the call. Needs a quorum.
    ///
    /// A member lists what it has applied, also if it is behind. A linearizable read on the same connection waits until it has
    /// caught up. etcd 3.5 and later can do both in one request, which etcd 3.4 does not know.
    ///
    /// # Errors
    /// Any error of the requests.
    pub async fn current_members(&self) -> Result<Members, Error> {
        let mut attempts = 0_u32;
        loop {
            let generation = self.inner.channel.generation();
            match self.revision().await {
                // etcd checks the permission after it has caught up.
                Err(error) if error.is_refusal(Refusal::Permission) || error.is_refusal(Refusal::NoUser) => {}
                read => drop(read?),
            }
            let members = self.members().await?;
            attempts = attempts.saturating_add(1);
            if self.inner.channel.generation() == generation {
                return Ok(members);
            }
            if attempts >= LIST_ATTEMPTS {
                let what = "the connection has changed during each attempt".to_owned();
                return Err(Error::Contended { op: "member list", what });
            }
        }
    }

    /// Adds a member that has not started yet, as a voter or as a learner.
    ///
    /// # Errors
    /// [`Error::Unknown`], or any other error of the request.
    pub async fn member_add(&self, peer_urls: &[String], learner: bool) -> Result<AddedMember, Error> {
        let mut options = MemberAddOptions::new();
        if learner {
            options = options.with_is_learner();
        }
        let send = |client: Client| {
            let (urls, options) = (peer_urls.to_vec(), options.clone());
            async move { client.cluster_client().member_add(urls, Some(options)).await }
        };
        let request = change("member add");
        let error = match self.call(request, send).await {
            Ok(answer) => match answer.value.member() {
                Some(member) => return Ok(AddedMember { id: member.id(), evidence: ChangeEvidence::Answer }),
                None => request.invalid("it has no member"),
            },
            Err(error) => error,
        };
        let added = |members: &Members| {
            let is_it = |member: &&Member| same_urls(&member.peer_urls, peer_urls);
            members.members.iter().find(is_it).map(|member| member.id)
        };
        let id = self.read_back(error, added).await?;
        Ok(AddedMember { id, evidence: ChangeEvidence::ReadBack })
    }

    /// Removes a member.
    ///
    /// # Errors
    /// [`Error::Unknown`], or any other error of the request.
    pub async fn member_remove(&self, _: &Consent, id: u64) -> Result<ChangeEvidence, Error> {
        let send = |client: Client| async move { client.cluster_client().member_remove(id).await };
        let gone = |members: &Members| members.members.iter().all(|member| member.id != id).then_some(());
        self.change_members(change("member remove"), send, gone).await
    }

    /// Replaces the peer URLs of a member.
    ///
    /// # Errors
    /// [`Error::Unknown`], or any other error of the request.
    pub async fn member_update(&self, id: u64, peer_urls: &[String]) -> Result<ChangeEvidence, Error> {
        let send = |client: Client| {
            let urls = peer_urls.to_vec();
            async move { client.cluster_client().member_update(id, urls).await }
        };
        let updated = |members: &Members| {
            let is_it = |member: &&Member| member.id == id && same_urls(&member.peer_urls, peer_urls);
            members.members.iter().find(is_it).map(|_| ())
        };
        self.change_members(change("member update"), send, updated).await
    }

    /// Makes a learner a voter.
    ///
    /// # Errors
    /// [`Refusal::LearnerLags`], [`Error::Unknown`], or any other error of the request.
    pub async fn member_promote(&self, id: u64) -> Result<ChangeEvidence, Error> {
        let send = |client: Client| async move { client.cluster_client().member_promote(id).await };
        let promoted =
            |members: &Members| members.members.iter().find(|member| member.id == id && !member.learner).map(|_| ());
        self.change_members(change("member promote"), send, promoted).await
    }

    /// Transfers leadership from the member in use, which must be the leader, to another voter. A lost answer is read back from
    /// the status of the member in use.
    ///
    /// # Errors
    /// [`Error::Unknown`], or any other error of the request.
    pub async fn transfer_leadership(&self, to: u64) -> Result<ChangeEvidence, Error> {
        let error = match self.move_leader(to).await {
            Ok(()) => return Ok(ChangeEvidence::Answer),
            Err(error @ Error::Unknown { .. }) => error,
            Err(error) => return Err(error),
        };
        let store = self.until(from_now(CHECK_TIMEOUT));
        let leads = async || Ok((store.member_status().await?.leader == to).then_some(()));
        store.poll(error, leads).await.map(|()| ChangeEvidence::ReadBack)
    }

    async fn change_members<T, F>(
        &self,
        request: Request<'_>,
        send: impl FnMut(Client) -> F,
        done: impl Fn(&Members) -> Option<()>,
    ) -> Result<ChangeEvidence, Error>
    where
        T: ResponseHeader,
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        match self.call(request, send).await {
            Ok(_) => Ok(ChangeEvidence::Answer),
            Err(error) => self.read_back(error, done).await.map(|()| ChangeEvidence::ReadBack),
        }
    }

    /// Looks for a change whose outcome is unknown in the member list. A list without it proves nothing: etcd may still apply it.
    async fn read_back<T>(&self, error: Error, done: impl Fn(&Members) -> Option<T>) -> Result<T, Error> {
        if !matches!(error, Error::Unknown { .. }) {
            return Err(error);
        }
        let store = self.until(from_now(CHECK_TIMEOUT));
        store.poll(error, async || Ok(done(&store.current_members().await?))).await
    }

    /// Asks until there is an answer. Returns the error if a question fails or the time of this handle is over.
    async fn poll<T>(&self, error: Error, ask: impl AsyncFn() -> Result<Option<T>, Error>) -> Result<T, Error> {
        let mut backoff = Backoff::default();
        loop {
            match ask().await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(_) => return Err(error),
            }
            let next: Instant = from_now(backoff.next_delay());
            tokio::select! {
                biased;
                _ = self.ended("member list") => return Err(error),
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }
}

fn change(op: &'static str) -> Request<'static> {
    Request { idempotency: Idempotency::None, ..Request::read(op, &[]) }
}

/// Whether the lists have the same URLs, in any order.
fn same_urls(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|url| other.contains(url)) && other.iter().all(|url| one.contains(url))
}
