//! `kvadm user list` and `kvadm user show`.

use crate::access::words::{ROOT, shown};
use crate::commands::auth_change::not_found;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Permission, Refusal};
use crate::output::{PermissionRow, UserAnswer, UserNameRow};

/// Lists all users.
pub async fn list(ctx: &Context) -> Result<Exit, Failure> {
    let users = ctx.store().users().await?;
    let mut sink = ctx.out.stream();
    for user in &users {
        sink.push(&UserNameRow(user))?;
    }
    sink.finish()?;
    Ok(Exit::Done)
}

/// Shows one user.
pub async fn run(ctx: &Context, name: &str, detail: bool) -> Result<Exit, Failure> {
    let store = ctx.store();
    let roles = match store.user_roles(name).await {
        Ok(roles) => roles,
        Err(error) if error.is_refusal(Refusal::UserNotFound) => {
            return Ok(not_found(ctx, "user", name, &store.users().await.unwrap_or_default()));
        }
        Err(error) => return Err(error.into()),
    };
    let mut found: Vec<(&String, Vec<Permission>)> = Vec::new();
    for role in roles.iter().filter(|_| detail) {
        match store.role_permissions(role).await {
            Ok(permissions) => found.push((role, permissions)),
            // A user may have the role root although no such role exists.
            Err(error) if error.is_refusal(Refusal::RoleNotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if detail && roles.iter().any(|role| role == ROOT) {
        ctx.out.note(&format!("user {} has the role root, which allows everything", shown(name)));
    } else if roles.is_empty() {
        ctx.out.note(&format!("user {} has no role, and may read and write nothing", shown(name)));
    }
    let permissions = found.iter().flat_map(|(role, permissions)| {
        permissions.iter().map(|permission| PermissionRow { role: Some(role), permission })
    });
    let permissions = detail.then(|| permissions.collect());
    ctx.out.report(&UserAnswer { user: name, roles: &roles, permissions })?;
    Ok(Exit::Done)
}
