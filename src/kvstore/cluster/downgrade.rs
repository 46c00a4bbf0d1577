//! Downgrades: the permission for members to be restarted with the previous minor version of etcd.

use std::time::Duration;

use etcd_client::DowngradeOptions;
use tokio::time::Instant;

use crate::consent::Consent;
use crate::kvstore::error::Error;
use crate::kvstore::kv::compact::CHECK_TIMEOUT;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::{Idempotency, Request};
use crate::kvstore::store::Store;

/// The pause between two reads of the state after a lost answer.
const READ_BACK_PAUSE: Duration = Duration::from_millis(100);
/// How long the state is read again after a lost answer: longer than a healthy cluster takes to apply a request.
const READ_BACK_FOR: Duration = Duration::from_secs(2);

/// Whether a downgrade is enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DowngradeState {
    /// No downgrade is enabled.
    Disabled,
    /// Members may be restarted with this version.
    Enabled {
        /// The version; `None` if etcd does not tell it.
        target: Option<String>,
    },
}

/// The outcome of a request that changed the downgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DowngradeChange {
    /// The version of the cluster; `None` if the answer was lost.
    pub cluster_version: Option<String>,
}

/// The first two numbers of a version.
pub fn minor_version(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The only version that a cluster of this version can be downgraded to.
pub fn previous_version(version: &str) -> Option<String> {
    let (major, minor) = minor_version(version)?;
    minor.checked_sub(1).map(|minor| format!("{major}.{minor}"))
}

impl Store {
    /// Whether the cluster can be downgraded to this version now. Returns the version of the cluster.
    ///
    /// # Errors
    /// [`Refusal::DowngradeTarget`], [`Refusal::DowngradeEnabled`], [`Refusal::Unsupported`] (etcd 3.4), or any other error.
    pub async fn validate_downgrade(&self, target: &str) -> Result<String, Error> {
        self.downgrade("downgrade validate", Idempotency::Read, DowngradeOptions::Validate(target.to_owned())).await
    }

    /// Allows the members to be restarted with the previous minor version. Sent once; if the answer is lost, the state is read back.
    ///
    /// # Errors
    /// As [`Store::validate_downgrade`], or [`Error::Unknown`].
    pub async fn enable_downgrade(&self, _: &Consent, target: &str) -> Result<DowngradeChange, Error> {
        let options = DowngradeOptions::Enable(target.to_owned());
        let sent = self.downgrade("downgrade enable", Idempotency::None, options).await;
        let is_done = |state: &DowngradeState| match state {
            DowngradeState::Enabled { target: Some(now) } => minor_version(now) == minor_version(target),
            // etcd has accepted the version before: the cluster can go to no other one.
            DowngradeState::Enabled { target: None } => true,
            DowngradeState::Disabled => false,
        };
        self.read_back_downgrade(sent, is_done).await
    }

    /// Ends a downgrade. Sent once; if the answer is lost, the state is read back.
    ///
    /// # Errors
    /// [`Refusal::NoDowngrade`], [`Refusal::Unsupported`], [`Error::Unknown`], or any other error.
    pub async fn cancel_downgrade(&self, _: &Consent) -> Result<DowngradeChange, Error> {
        let sent = self.downgrade("downgrade cancel", Idempotency::None, DowngradeOptions::Cancel).await;
        self.read_back_downgrade(sent, |state| *state == DowngradeState::Disabled).await
    }

    /// Whether a downgrade is enabled, as the member in use knows it. etcd 3.5 does not tell it with the status; there, whether a
    /// downgrade would be refused because of another one tells it.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] (etcd 3.4), or any other error of the requests.
    pub async fn downgrade_state(&self) -> Result<DowngradeState, Error> {
        let status = self.member_status().await?;
        if let Some(state) = status.downgrade {
            return Ok(state);
        }
        let Some(target) = previous_version(&status.version) else {
            let what = format!("the version '{}' is not one of etcd", status.version.escape_debug());
            return Err(Error::Protocol { op: "status", what });
        };
        // While a downgrade is enabled, the cluster's version becomes that of the target, whose own target is one version back.
        let further = previous_version(&target);
        let (answer, told) = match (self.validate_downgrade(&target).await, further) {
            (Err(error), Some(further)) if error.is_refusal(Refusal::DowngradeTarget) => {
                (self.validate_downgrade(&further).await, Some(target))
            }
            // The member may run the target already, or the cluster's version is not lowered yet.
            (answer, _) => (answer, None),
        };
        match answer {
            Ok(_) => Ok(DowngradeState::Disabled),
            Err(error) if error.is_refusal(Refusal::DowngradeEnabled) => Ok(DowngradeState::Enabled { target: told }),
            Err(error) => Err(error),
        }
    }

    async fn downgrade(
        &self,
        op: &'static str,
        idempotency: Idempotency,
        options: DowngradeOptions,
    ) -> Result<String, Error> {
        let request = Request { idempotency, ..Request::read(op, &[]) };
        let send = |client: etcd_client::Client| {
            let options = options.clone();
            async move { client.maintenance_client().downgrade(options).await }
        };
        Ok(self.call(request, send).await?.value.version().to_owned())
    }

    /// Replaces an unknown outcome by what the state proves.
    async fn read_back_downgrade(
        &self,
        sent: Result<String, Error>,
        is_done: impl Fn(&DowngradeState) -> bool,
    ) -> Result<DowngradeChange, Error> {
        let error = match sent {
            Ok(version) => return Ok(DowngradeChange { cluster_version: Some(version) }),
            Err(error @ Error::Unknown { .. }) => error,
            Err(error) => return Err(error),
        };
        let until = Instant::now().checked_add(READ_BACK_FOR);
        let reader = self.for_cleanup(CHECK_TIMEOUT);
        loop {
            if reader.downgrade_state().await.is_ok_and(|state| is_done(&state)) {
                return Ok(DowngradeChange { cluster_version: None });
            }
            // That it is not done proves nothing: the request may still be in the raft log.
            if until.is_none_or(|until| Instant::now() >= until) || self.session.cancel.is_cancelled() {
                return Err(error);
            }
            tokio::time::sleep(READ_BACK_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_previous_version_is_one_minor_version_back() {
        for (version, previous) in [
            ("3.6.16", Some("3.5")),
            ("3.7.0-rc.1", Some("3.6")),
            ("3.6", Some("3.5")),
            ("4.0.0", None),
            ("3", None),
            ("", None),
            ("x.y", None),
        ] {
            assert_eq!(previous_version(version).as_deref(), previous, "{version}");
        }
        assert_eq!(minor_version("3.5.0"), minor_version("3.5"));
    }
}
