//! Defragmentation, alarms and leadership transfer.

use etcd_client::{AlarmAction, AlarmOptions, AlarmType};

use crate::consent::Consent;
use crate::kvstore::cluster::members::Alarm;
use crate::kvstore::error::Error;
use crate::kvstore::kv::compact::{CHECK_TIMEOUT, UNBOUNDED};
use crate::kvstore::request::{Idempotency, Request};
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;

/// An alarm that can be cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmKind {
    /// A member's database exceeds its quota.
    NoSpace,
    /// The data of the members differs.
    Corrupt,
}

impl AlarmKind {
    /// etcd's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSpace => "NOSPACE",
            Self::Corrupt => "CORRUPT",
        }
    }

    fn on_the_wire(self) -> AlarmType {
        match self {
            Self::NoSpace => AlarmType::Nospace,
            Self::Corrupt => AlarmType::Corrupt,
        }
    }
}

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

    /// Clears one member's alarm; does nothing if it is not raised. Not sent twice: the alarm may be raised again meanwhile. If the
    /// answer is lost, the alarms are read back.
    ///
    /// # Errors
    /// [`Error::Unknown`], or any other error of the request.
    pub async fn disarm(&self, _: &Consent, member: u64, kind: AlarmKind) -> Result<(), Error> {
        let error = match self.deactivate(member, kind).await {
            Err(error @ Error::Unknown { .. }) => error,
            answered => return answered,
        };
        let raised = self.for_cleanup(CHECK_TIMEOUT).alarms().await;
        let is_raised = |alarm: &Alarm| alarm.member == member && alarm.kind == kind.as_str();
        match raised {
            Ok(raised) if !raised.iter().any(is_raised) => Ok(()),
            // That it is raised proves nothing: the request may still be in the raft log.
            _ => Err(error),
        }
    }

    async fn deactivate(&self, member: u64, kind: AlarmKind) -> Result<(), Error> {
        let request = Request { idempotency: Idempotency::None, ..Request::read("alarm disarm", &[]) };
        let send = |client: etcd_client::Client| async move {
            let mut options = AlarmOptions::new();
            options.with_member(member);
            client.maintenance_client().alarm(AlarmAction::Deactivate, kind.on_the_wire(), Some(options)).await
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
