//! Roles and their permissions. No change is ever sent twice.

use etcd_client::{
    Client, Permission as WirePermission, RoleAddResponse, RoleDeleteResponse, RoleGetResponse,
    RoleGrantPermissionResponse, RoleListResponse, RoleRevokePermissionOptions, RoleRevokePermissionResponse,
};

use crate::consent::Consent;
use crate::kvstore::auth::auth_request::{auth_change, auth_header, sorted_names};
use crate::kvstore::auth::permission::{Access, Permission, StoredPermission, must_be_revoked_first};
use crate::kvstore::error::Error;
use crate::kvstore::key_range::KeyRange;
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
    /// [`Refusal::RoleNotFound`](crate::kvstore::Refusal::RoleNotFound), or any other error of the request.
    pub async fn role_permissions(&self, role: &str) -> Result<Vec<Permission>, Error> {
        let stored = self.stored_permissions(role).await?;
        let permissions = stored
            .iter()
            .map(|one| Permission { range: Permission::listed_range(role, &one.key, &one.end), access: one.access });
        let mut permissions: Vec<Permission> = permissions.collect();
        permissions.sort();
        permissions.dedup();
        Ok(permissions)
    }

    /// Whether the permissions of the role for this range must be revoked before a grant, because etcd would not replace them.
    ///
    /// # Errors
    /// [`Refusal::RoleNotFound`](crate::kvstore::Refusal::RoleNotFound), or any other error of the request.
    pub async fn must_revoke_before_grant(&self, role: &str, permission: &Permission) -> Result<bool, Error> {
        Ok(must_be_revoked_first(&self.stored_permissions(role).await?, permission))
    }

    async fn stored_permissions(&self, role: &str) -> Result<Vec<StoredPermission>, Error> {
        let request = Request::read("role get", &[]);
        let send = |client: Client| {
            let role = role.to_owned();
            async move { client.auth_client().role_get(role).await }
        };
        let answer = self.call(request, send).await?.value;
        let mut permissions = Vec::with_capacity(answer.0.perm.len());
        for one in answer.0.perm {
            let unknown = || request.invalid(format!("the role has a permission of type {}", one.perm_type));
            let access = Access::from_wire(one.perm_type).ok_or_else(unknown)?;
            permissions.push(StoredPermission { key: one.key, end: one.range_end, access });
        }
        Ok(permissions)
    }

    /// Adds a role without permissions.
    ///
    /// # Errors
    /// [`Refusal::RoleExists`](crate::kvstore::Refusal::RoleExists), [`Error::Unknown`], or any other error of the request.
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
    /// [`Refusal::RoleNotFound`](crate::kvstore::Refusal::RoleNotFound), [`Error::Unknown`], or any other error of the request.
    pub async fn delete_role(&self, _: &Consent, role: &str) -> Result<(), Error> {
        let send = |client: Client| {
            let role = role.to_owned();
            async move { client.auth_client().role_delete(role).await }
        };
        self.call(auth_change("role delete"), send).await.map(|_| ())
    }

    /// Grants a permission to a role. It replaces the role's permission for the same range, unless
    /// [`Store::must_revoke_before_grant`].
    ///
    /// # Errors
    /// [`Refusal::RoleNotFound`](crate::kvstore::Refusal::RoleNotFound), [`Error::Unknown`], or any other error of the request.
    pub async fn grant_permission(&self, role: &str, permission: &Permission) -> Result<(), Error> {
        let (key, end) = Permission::to_wire(&permission.range);
        let send = |client: Client| {
            let wire = WirePermission::new(permission.access.to_wire(), key.clone()).with_range_end(end.clone());
            let role = role.to_owned();
            async move { client.auth_client().role_grant_permission(role, wire).await }
        };
        self.call(auth_change("role grant"), send).await.map(|_| ())
    }

    /// Revokes all permissions for exactly this range from a role.
    ///
    /// # Errors
    /// [`Refusal::RoleNotFound`](crate::kvstore::Refusal::RoleNotFound),
    /// [`Refusal::PermissionNotGranted`](crate::kvstore::Refusal::PermissionNotGranted), [`Error::Unknown`], or any other error of
    /// the request.
    pub async fn revoke_permission(&self, _: &Consent, role: &str, range: &KeyRange) -> Result<(), Error> {
        let range = &Permission::as_listed(range);
        let stored = self.stored_permissions(role).await?.into_iter().filter(|one| one.range() == *range);
        // etcd may have the range with several fields. One request revokes all permissions with the same ones.
        let mut forms: Vec<(Vec<u8>, Vec<u8>)> = stored.map(|one| (one.key, one.end)).collect();
        forms.sort();
        forms.dedup();
        if forms.is_empty() {
            forms.push(Permission::to_wire(range));
        }
        for (key, end) in forms {
            let send = |client: Client| {
                let (role, key) = (role.to_owned(), key.clone());
                let options = RoleRevokePermissionOptions::new().with_range_end(end.clone());
                async move { client.auth_client().role_revoke_permission(role, key, Some(options)).await }
            };
            self.call(auth_change("role revoke"), send).await?;
        }
        Ok(())
    }
}
