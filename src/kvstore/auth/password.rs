//! Checks a password without using it for the requests of the command.

use etcd_client::AuthenticateResponse;

use crate::kvstore::error::Error;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::Request;
use crate::kvstore::response_header::ResponseHeader;
use crate::kvstore::store::Store;
use crate::kvstore::types::Revision;
use crate::transport::secret::Secret;

impl ResponseHeader for AuthenticateResponse {
    fn revision(&self) -> Revision {
        self.header().map_or(0, etcd_client::ResponseHeader::revision)
    }

    fn cluster(&self) -> u64 {
        self.header().map_or(0, etcd_client::ResponseHeader::cluster_id)
    }
}

/// What etcd says about a user's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// The user can log in with it.
    Accepted,
    /// The user does not exist, has no password, or has another one.
    Rejected,
    /// Authentication is not enabled; etcd then checks no password.
    NotEnabled,
}

impl Store {
    /// Logs in as `user`, and forgets the token.
    ///
    /// # Errors
    /// Any error of the request other than the answers of [`PasswordCheck`].
    pub async fn check_password(&self, user: &str, password: &Secret) -> Result<PasswordCheck, Error> {
        // The credentials of this command may be the ones that have just changed.
        let store = self.anonymous();
        let send = |client: etcd_client::Client| {
            let (user, password) = (user.to_owned(), password.expose().to_owned());
            async move { client.auth_client().authenticate(user, password).await }
        };
        match store.call(Request::read("log in", &[]), send).await {
            Ok(_) => Ok(PasswordCheck::Accepted),
            Err(error) if error.is_refusal(Refusal::AuthNotEnabled) => Ok(PasswordCheck::NotEnabled),
            Err(error) if error.is_refusal(Refusal::BadPassword) || error.is_refusal(Refusal::NoUser) => {
                Ok(PasswordCheck::Rejected)
            }
            Err(error) => Err(error),
        }
    }
}
