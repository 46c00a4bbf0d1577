//! Defragmentation, alarms and leadership transfer.

use etcd_client::{AlarmAction, AlarmOptions, AlarmType};

use crate::consent::Consent;
use crate::kvstore::error::Error;
use crate::kvstore::kv::compact::{CHECK_TIMEOUT, UNBOUNDED};
use crate::kvstore::request::{Idempotency, Request};
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;

impl Store {
    /// Rewrites the database file of the member in use without its free pages; [`Store::pinned`] selects the member.
    /// The member serves no requests meanwhile.
    ///
    /// # Errors
    /// [`Error::Unknown`], or any other error of the request.
    pub async fn defragment(&self, _: &Consent) -> Result<(), Error> {
        let timeout = Timeout::Fixed(UNBOUNDED);
        let request = Request {
            idempotency: Idempotency::None,
            needs_leader: false,
            timeout,
            ..Request::read("defragment", &[])
        };
        self.call(request, |client| async move { client.maintenance_client().defragment().await }).await.map(|_| ())
    }

    /// Clears one member's NOSPACE alarm; does nothing if it is not raised. Not sent twice: the alarm may be raised again
    /// meanwhile.
    ///
    /// # Errors
    /// [`Error::Unknown`], or any other error of the request.
    pub async fn disarm_nospace(&self, _: &Consent, member: u64) -> Result<(), Error> {
        let request = Request { idempotency: Idempotency::None, ..Request::read("alarm disarm", &[]) };
        let send = |client: etcd_client::Client| async move {
            let mut options = AlarmOptions::new();
            options.with_member(member);
            client.maintenance_client().alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(options)).await
        };
        self.call(request, send).await.map(|_| ())
    }

    /// Transfers leadership from the member in use, which must be the leader, to another voting member.
    ///
    /// # Errors
    /// The member in use is not the leader, the other one did not take over in time, or any other error of the request.
    pub async fn move_leader(&self, to: u64) -> Result<(), Error> {
        let request = Request { idempotency: Idempotency::None, ..Request::read("move leader", &[]) };
        let timeout = Timeout::Fixed(self.options().op_timeout.max(CHECK_TIMEOUT));
        let request = Request { timeout, ..request };
        let send = |client: etcd_client::Client| async move { client.maintenance_client().move_leader(to).await };
        self.call(request, send).await.map(|_| ())
    }
}
