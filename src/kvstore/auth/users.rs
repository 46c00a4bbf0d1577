//! Users, their passwords and their roles. No change is ever sent twice.

use etcd_client::{
    Client, UserAddOptions, UserAddResponse, UserChangePasswordResponse, UserDeleteResponse, UserGetResponse,
    UserGrantRoleResponse, UserListResponse, UserRevokeRoleResponse,
};

use crate::consent::Consent;
use crate::kvstore::auth::auth_request::{auth_change, auth_header, sorted_names};
use crate::kvstore::error::Error;
use crate::kvstore::request::Request;
use crate::kvstore::store::Store;
use crate::transport::secret::Secret;

auth_header!(
    UserAddResponse,
    UserChangePasswordResponse,
    UserDeleteResponse,
    UserGetResponse,
    UserGrantRoleResponse,
    UserListResponse,
    UserRevokeRoleResponse
);

impl Store {
    /// The names of all users, in order.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn users(&self) -> Result<Vec<String>, Error> {
        let send = |client: Client| async move { client.auth_client().user_list().await };
        let answer = self.call(Request::read("user list", &[]), send).await?.value;
        Ok(sorted_names(answer.users()))
    }

    /// The roles of a user, in order. A user may read its own ones without the role `root`.
    ///
    /// # Errors
    /// [`Refusal::UserNotFound`](crate::kvstore::Refusal::UserNotFound), or any other error of the request.
    pub async fn user_roles(&self, user: &str) -> Result<Vec<String>, Error> {
        let send = |client: Client| {
            let user = user.to_owned();
            async move { client.auth_client().user_get(user).await }
        };
        let answer = self.call(Request::read("user get", &[]), send).await?.value;
        Ok(sorted_names(answer.roles()))
    }

    /// Adds a user; without a password, the user can be recognized only by a client certificate.
    ///
    /// # Errors
    /// [`Refusal::UserExists`](crate::kvstore::Refusal::UserExists), [`Error::Unknown`], or any other error of the request.
    pub async fn add_user(&self, user: &str, password: Option<&Secret>) -> Result<(), Error> {
        let send = |client: Client| {
            let user = user.to_owned();
            let text = password.map_or_else(String::new, |password| password.expose().to_owned());
            let options = UserAddOptions::new();
            let options = if password.is_some() { options } else { options.with_no_pwd() };
            async move { client.auth_client().user_add(user, text, Some(options)).await }
        };
        self.call(auth_change("user add"), send).await.map(|_| ())
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// [`Refusal::UserNotFound`](crate::kvstore::Refusal::UserNotFound), [`Error::Unknown`], or any other error of the request.
    pub async fn delete_user(&self, _: &Consent, user: &str) -> Result<(), Error> {
        let send = |client: Client| {
            let user = user.to_owned();
            async move { client.auth_client().user_delete(user).await }
        };
        self.call(auth_change("user delete"), send).await.map(|_| ())
    }

    /// Sets a user's password. etcd gives a user that had none a password as well.
    ///
    /// # Errors
    /// [`Refusal::UserNotFound`](crate::kvstore::Refusal::UserNotFound), [`Error::Unknown`], or any other error of the request.
    pub async fn set_password(&self, user: &str, password: &Secret) -> Result<(), Error> {
        let send = |client: Client| {
            let (user, text) = (user.to_owned(), password.expose().to_owned());
            async move { client.auth_client().user_change_password(user, text).await }
        };
        self.call(auth_change("user password"), send).await.map(|_| ())
    }

    /// Grants a role to a user. etcd accepts a role that the user has already.
    ///
    /// # Errors
    /// [`Refusal::UserNotFound`](crate::kvstore::Refusal::UserNotFound),
    /// [`Refusal::RoleNotFound`](crate::kvstore::Refusal::RoleNotFound), [`Error::Unknown`], or any other error of the request.
    pub async fn grant_role(&self, user: &str, role: &str) -> Result<(), Error> {
        let send = |client: Client| {
            let (user, role) = (user.to_owned(), role.to_owned());
            async move { client.auth_client().user_grant_role(user, role).await }
        };
        self.call(auth_change("user grant"), send).await.map(|_| ())
    }

    /// Revokes a role from a user.
    ///
    /// # Errors
    /// [`Refusal::UserNotFound`](crate::kvstore::Refusal::UserNotFound),
    /// [`Refusal::RoleNotGranted`](crate::kvstore::Refusal::RoleNotGranted), [`Error::Unknown`], or any other error of the
    /// request.
    pub async fn revoke_role(&self, _: &Consent, user: &str, role: &str) -> Result<(), Error> {
        let send = |client: Client| {
            let (user, role) = (user.to_owned(), role.to_owned());
            async move { client.auth_client().user_revoke_role(user, role).await }
        };
        self.call(auth_change("user revoke"), send).await.map(|_| ())
    }
}
