//! `kvadm role add`, `delete`, `grant` and `revoke`.

use crate::access::AuthChange;
use crate::access::words::{ROOT, format_permission, format_range, name_fault, shown};
use crate::commands::auth_change::{
    carry_out, cluster_words, listed, listed_names, not_found, print_dry_run, print_unchanged, refuse_lockout,
    users_with_role,
};
use crate::commands::permission_range::PermissionRange;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Access, Permission, Refusal};

/// Adds a role.
pub async fn add(ctx: &Context, name: &str) -> Result<Exit, Failure> {
    if let Some(why) = name_fault(name) {
        return Err(Failure::usage(format!("cannot add role '{}': {why}", shown(name))));
    }
    let changes = [AuthChange::AddRole { name: name.to_owned() }];
    if !ctx.safety.dry_run {
        return carry_out(ctx, ctx.store(), &ctx.consent_if_several(1, 0, "")?, &changes).await;
    }
    if ctx.store().roles().await?.iter().any(|role| role == name) {
        return Err(Failure::new(Exit::Refused, format!("role {} exists already", shown(name))));
    }
    print_dry_run(ctx, &changes)
}

/// Deletes a role.
pub async fn delete(ctx: &Context, name: &str) -> Result<Exit, Failure> {
    let all = ctx.store().roles().await?;
    if !all.iter().any(|role| role == name) {
        return Ok(not_found(ctx, "role", name, &all));
    }
    let changes = [AuthChange::DeleteRole { name: name.to_owned() }];
    refuse_lockout(ctx, &changes).await?;
    let users = users_with_role(ctx, name).await?;
    let about = match users.as_slice() {
        [] => "which no user has".to_owned(),
        [user] => format!("which user {} has", shown(user)),
        users => format!("which {} users have: {}", users.len(), listed_names(users)),
    };
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: role {}, {about}", shown(name)));
        return print_dry_run(ctx, &changes);
    }
    let consent = ctx.consent(&format!("Delete role {}, {about}, {}", shown(name), cluster_words(ctx)))?;
    carry_out(ctx, ctx.store(), &consent, &changes).await
}

/// Grants a permission.
pub async fn grant(ctx: &Context, name: &str, access: &str, range: &PermissionRange) -> Result<Exit, Failure> {
    let range = range.range(ctx)?;
    let access = match access {
        "read" => Access::Read,
        "write" => Access::Write,
        _ => Access::ReadWrite,
    };
    let Some(has) = permissions_of(ctx, name).await? else { return missing_role(ctx, name).await };
    let permission = Permission { range, access };
    let changes = [AuthChange::GrantPermission { role: name.to_owned(), permission: permission.clone() }];
    if has.contains(&permission) {
        let why = format!("role {} already has {}", shown(name), format_permission(&permission));
        return print_unchanged(ctx, &changes, &why);
    }
    if let Some(old) = has.iter().find(|old| old.range == permission.range) {
        ctx.out.note(&format!("this replaces {} on the same keys", old.access));
    }
    if name == ROOT {
        ctx.out.note("the role root allows everything, whatever its permissions are");
    }
    match ctx.safety.dry_run {
        true => print_dry_run(ctx, &changes),
        false => carry_out(ctx, ctx.store(), &ctx.consent_if_several(1, 0, "")?, &changes).await,
    }
}

/// Revokes a permission.
pub async fn revoke(ctx: &Context, name: &str, range: &PermissionRange) -> Result<Exit, Failure> {
    let range = range.range(ctx)?;
    let Some(has) = permissions_of(ctx, name).await? else { return missing_role(ctx, name).await };
    let Some(permission) = has.iter().find(|permission| permission.range == range) else {
        let granted: Vec<String> = has.iter().map(format_permission).collect();
        ctx.out.note(&format!(
            "role {} has no permission on {}; it has: {}; nothing was changed",
            shown(name),
            format_range(&range),
            listed(&granted)
        ));
        return Ok(Exit::No);
    };
    if name == ROOT {
        ctx.out.note("the role root allows everything, whatever its permissions are");
    }
    let what = format_permission(permission);
    let changes = [AuthChange::RevokePermission { role: name.to_owned(), range }];
    if ctx.safety.dry_run {
        return print_dry_run(ctx, &changes);
    }
    let consent = ctx.consent(&format!("Revoke {what} from role {} {}", shown(name), cluster_words(ctx)))?;
    carry_out(ctx, ctx.store(), &consent, &changes).await
}

/// The permissions of the role; `None` if it does not exist.
async fn permissions_of(ctx: &Context, name: &str) -> Result<Option<Vec<Permission>>, Failure> {
    match ctx.store().role_permissions(name).await {
        Ok(permissions) => Ok(Some(permissions)),
        Err(error) if error.is_refusal(Refusal::RoleNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn missing_role(ctx: &Context, name: &str) -> Result<Exit, Failure> {
    Ok(not_found(ctx, "role", name, &ctx.store().roles().await?))
}
