//! etcd's Auth service: users, roles, their permissions, and whether authentication is enabled.

pub(crate) mod auth_request;
pub(crate) mod caller;
pub(crate) mod password;
pub(crate) mod permission;
pub(crate) mod roles;
pub(crate) mod status;
pub(crate) mod switch;
pub(crate) mod users;
