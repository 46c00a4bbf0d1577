//! The members that the windows of one serializable listing are read from, all at one revision.
//!
//! A revision never changes, so it should not matter which member answers a window. Another member is used only after it has
//! counted as many keys in the range at the revision: a silent member holds nothing up, and one that lags or whose data differs
//! (etcd 3.5.0 to 3.5.2 can lose a transaction of one member after SIGKILL) is not used. A member that fails is left out, and its
//! windows are read from the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::kvstore::error::Error;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::store::Store;
use crate::kvstore::types::Revision;
use crate::transport::{Endpoint, Notice};

/// The members that a listing reads from.
pub(crate) struct MemberPool {
    members: Vec<PoolMember>,
    /// The number of windows given out so far.
    turn: AtomicUsize,
    /// The number of members that have not answered yet whether they can serve.
    undecided: watch::Sender<usize>,
}

/// What every member of a [`MemberPool`] must have.
pub(crate) struct PooledListing {
    pub(crate) range: KeyRange,
    pub(crate) revision: Revision,
    /// The number of keys in the range at the revision.
    pub(crate) keys: u64,
}

/// One member of a [`MemberPool`].
pub(crate) struct PoolMember {
    pub(crate) store: Store,
    serves: AtomicBool,
}

impl PoolMember {
    fn new(store: Store, serves: bool) -> Self {
        Self { store, serves: AtomicBool::new(serves) }
    }

    /// Whether the member is known to have the revision, and has not failed.
    fn serves(&self) -> bool {
        self.serves.load(Ordering::Relaxed)
    }

    /// Uses the member if it has as many keys at the revision as the listing.
    async fn join(&self, listing: &PooledListing) {
        let (revision, keys) = (listing.revision, listing.keys);
        match self.store.count(&listing.range, revision, None).await {
            Ok(counted) if counted.count == keys => self.serves.store(true, Ordering::Relaxed),
            Ok(counted) => self.notice(&format!(
                "not used: it has {} keys at revision {revision}, not {keys}; 'kvadm status --consistency' compares the members",
                counted.count
            )),
            Err(error) => self.notice(&format!("not used: {}", error.one_line())),
        }
    }

    /// Leaves the member out of the rest of the listing.
    pub(crate) fn leave_out(&self, error: &Error) {
        if self.serves.swap(false, Ordering::Relaxed) {
            self.notice(&format!("left out: {}", error.one_line()));
        }
    }

    fn notice(&self, text: &str) {
        let endpoint = self.store.options().endpoints.first().map(ToString::to_string).unwrap_or_default();
        self.store.session.observer.notice(Notice::Detail, &format!("list: {endpoint} is {text}"));
    }
}

impl MemberPool {
    /// A pool of the member that the listing began at and of those at other endpoints, which join when they have answered.
    /// The returned tasks ask them; dropping the tasks ends the questions.
    pub(crate) fn start(own: &Store, others: &[Endpoint], listing: PooledListing) -> (Arc<Self>, JoinSet<()>) {
        let other = |endpoint: &Endpoint| PoolMember::new(own.member(endpoint).serializable(), false);
        let members = std::iter::once(PoolMember::new(own.clone(), true)).chain(others.iter().map(other)).collect();
        let pool = Arc::new(Self { members, turn: AtomicUsize::new(0), undecided: watch::Sender::new(others.len()) });
        let mut questions = JoinSet::new();
        let listing = Arc::new(listing);
        for index in 1..pool.members.len() {
            let (pool, listing) = (Arc::clone(&pool), Arc::clone(&listing));
            questions.spawn(async move {
                if let Some(member) = pool.members.get(index) {
                    member.join(&listing).await;
                }
                pool.undecided.send_modify(|count| *count = count.saturating_sub(1));
            });
        }
        (pool, questions)
    }

    /// The number of members that windows are read from.
    pub(crate) fn serving(&self) -> usize {
        self.members.iter().filter(|member| member.serves()).count()
    }

    /// The member whose turn it is. If all have failed, waits for those that have not answered yet; `None` if none is left.
    pub(crate) async fn take_turn(&self) -> Option<&PoolMember> {
        if let Some(member) = self.serving_member() {
            return Some(member);
        }
        // The sender lives as long as the pool.
        let _ = self.undecided.subscribe().wait_for(|count| *count == 0).await;
        self.serving_member()
    }

    fn serving_member(&self) -> Option<&PoolMember> {
        let serving: Vec<&PoolMember> = self.members.iter().filter(|member| member.serves()).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        serving.get(turn.checked_rem(serving.len())?).copied()
    }
}

/// Whether another member may answer a window that failed with this error.
pub(crate) fn may_differ_at_another_member(error: &Error) -> bool {
    error.is_transient() || error.is_refusal(Refusal::FutureRevision) || matches!(error, Error::Unreachable { .. })
}
