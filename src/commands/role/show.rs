//! `kvadm role list` and `kvadm role show`.

use crate::access::words::{ROOT, shown};
use crate::commands::auth_change::not_found;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Refusal;
use crate::output::{PermissionRow, RoleAnswer, RoleNameRow};

/// Lists all roles.
pub async fn list(ctx: &Context) -> Result<Exit, Failure> {
    let roles = ctx.store().roles().await?;
    let mut sink = ctx.out.stream();
    for role in &roles {
        sink.push(&RoleNameRow(role))?;
    }
    sink.finish()?;
    Ok(Exit::Done)
}

/// Shows one role.
pub async fn run(ctx: &Context, name: &str) -> Result<Exit, Failure> {
    let permissions = match ctx.store().role_permissions(name).await {
        Ok(permissions) => permissions,
        Err(error) if error.is_refusal(Refusal::RoleNotFound) => {
            return Ok(not_found(ctx, "role", name, &ctx.store().roles().await.unwrap_or_default()));
        }
        Err(error) => return Err(error.into()),
    };
    if name == ROOT {
        ctx.out.note("the role root allows everything, whatever its permissions are");
    } else if permissions.is_empty() {
        ctx.out.note(&format!("role {} has no permissions", shown(name)));
    }
    let rows = permissions.iter().map(|permission| PermissionRow { role: None, permission }).collect();
    ctx.out.report(&RoleAnswer { role: name, permissions: rows })?;
    Ok(Exit::Done)
}
