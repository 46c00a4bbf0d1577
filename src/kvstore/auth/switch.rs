//! Switching authentication on and off. Neither request is ever sent twice: another client may undo it in between.

use etcd_client::{AuthDisableResponse, AuthEnableResponse, Client};

use crate::consent::Consent;
use crate::kvstore::auth::auth_request::{auth_change, auth_header};
use crate::kvstore::error::Error;
use crate::kvstore::store::Store;

auth_header!(AuthEnableResponse, AuthDisableResponse);

impl Store {
    /// Enables authentication.
    ///
    /// # Errors
    /// [`Refusal::NoRoot`](crate::kvstore::Refusal::NoRoot), [`Error::Unknown`], or any other error of the request.
    pub async fn enable_auth(&self, _: &Consent) -> Result<(), Error> {
        let send = |client: Client| async move { client.auth_client().auth_enable().await };
        self.call(auth_change("auth enable"), send).await.map(|_| ())
    }

    /// Disables authentication: everyone who reaches etcd may then read and write everything.
    ///
    /// # Errors
    /// [`Error::Unknown`], or any other error of the request.
    pub async fn disable_auth(&self, _: &Consent) -> Result<(), Error> {
        let send = |client: Client| async move { client.auth_client().auth_disable().await };
        self.call(auth_change("auth disable"), send).await.map(|_| ())
    }
}
