//! Roles and their permissions. No change is ever sent twice.

use etcd_client::{
    Client, Permission as WirePermission, RoleAddResponse, RoleDeleteResponse, RoleGetResponse,
    RoleGrantPermissionResponse, RoleListResponse, RoleRevokePermissionOptions, RoleRevokePermissionResponse,
};

use crate::consent::Consent;
use crate::kvstore::auth::auth_request::{auth_change, auth_header, sorted_names};
use crate::kvstore::auth::permission::{Access, Permission};
use crate::kvstore::error::Error;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::Request;
use crate::kvstore::store::Store;

auth_header!(
    RoleAddResponse,
    RoleDeleteResponse,
    RoleGetResponse,
    RoleGrantPermissionResponse,
    RoleListResponse,
    RoleRevokePermissionResponse
);

impl Store {
    /// The names of all roles, in order.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn roles(&self) -> Result<Vec<String>, Error> {
        let send = |client: Client| async move { client.auth_client().role_list().await };
        let answer = self.call(Request::read("role list", &[]), send).await?.value;
        Ok(sorted_names(answer.roles()))
    }

    /// The permissions of a role, in order. A user may read those of its own roles without the role `root`.
    ///
    /// # Errors
    /// [`Refusal::RoleNotFound`], or any other error of the request.
    pub async fn role_permissions(&self, role: &str) -> Result<Vec<Permission>, Error> {
        let request = Request::read("role get", &[]);
        let send = |client: Client| {
            let role = role.to_owned();
            async move { client.auth_client().role_get(role).await }
        };
        let answer = self.call(request, send).await?.value;
        let mut permissions = Vec::with_capacity(answer.0.perm.len());
        for one in &answer.0.perm {
            let unknown = || request.invalid(format!("the role has a permission of type {}", one.perm_type));
            let access = Access::from_wire(one.perm_type).ok_or_else(unknown)?;
            permissions.push(Permission { range: Permission::range_from_wire(&one.key, &one.range_end), access });
        }
        permissions.sort();
        permissions.dedup();
        Ok(permissions)
    }

    /// Adds a role without permissions.
    ///
    /// # Errors
    /// [`Refusal::RoleExists`], [`Error::Unknown`], or any other error of the request.
    pub async fn add_role(&self, role: &str) -> Result<(), Error> {
        let send = |client: Client| {
            let role = role.to_owned();
            async move { client.auth_client().role_add(role).await }
        };
        self.call(auth_change("role add"), send).await.map(|_| ())
    }

    /// Deletes a role, and revokes it from all users.
    ///
    /// # Errors
    /// [`Refusal::RoleNotFound`], [`Error::Unknown`], or any other error of the request.
    pub async fn delete_role(&self, _: &Consent, role: &str) -> Result<(), Error> {
        let send = |client: Client| {
            let role = role.to_owned();
            async move { client.auth_client().role_delete(role).await }
        };
        self.call(auth_change("role delete"), send).await.map(|_| ())
    }

    /// Grants a permission to a role. It replaces the role's permission for the same range.
    ///
    /// # Errors
    /// [`Refusal::RoleNotFound`], [`Error::Unknown`], or any other error of the request.
    pub async fn grant_permission(&self, role: &str, permission: &Permission) -> Result<(), Error> {
        let (key, end) = Permission::wire_forms(&permission.range).into_iter().next().unwrap_or_default();
        let send = |client: Client| {
            let wire = WirePermission::new(permission.access.to_wire(), key.clone()).with_range_end(end.clone());
            let role = role.to_owned();
            async move { client.auth_client().role_grant_permission(role, wire).await }
        };
        self.call(auth_change("role grant"), send).await.map(|_| ())
    }

    /// Revokes the permission for exactly this range from a role.
    ///
    /// # Errors
    /// [`Refusal::RoleNotFound`], [`Refusal::PermissionNotGranted`], [`Error::Unknown`], or any other error of the request.
    pub async fn revoke_permission(&self, _: &Consent, role: &str, range: &KeyRange) -> Result<(), Error> {
        let mut result = Ok(());
        for (key, end) in Permission::wire_forms(range) {
            let send = |client: Client| {
                let (role, key) = (role.to_owned(), key.clone());
                let options = RoleRevokePermissionOptions::new().with_range_end(end.clone());
                async move { client.auth_client().role_revoke_permission(role, key, Some(options)).await }
            };
            result = self.call(auth_change("role revoke"), send).await.map(|_| ());
            // etcd has refused the request: the permission may have been granted with other fields.
            if !matches!(&result, Err(error) if error.is_refusal(Refusal::PermissionNotGranted)) {
                break;
            }
        }
        result
    }
}
