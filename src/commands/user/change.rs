//! `kvadm user add`, `delete`, `password`, `grant` and `revoke`.

use crate::access::AuthChange;
use crate::access::words::{ROOT, shown};
use crate::commands::auth_change::{
    carry_out, cluster_words, listed_names, not_found, print_dry_run, print_unchanged, refuse_lockout,
};
use crate::commands::new_password::NewPassword;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Caller, Refusal};
use crate::plural::counted;
use crate::transport::Secret;

/// Adds a user; without `password`, one that only a client certificate can name.
pub async fn add(ctx: &Context, name: &str, password: Option<&NewPassword>) -> Result<Exit, Failure> {
    check_new_name(ctx, name)?;
    if let Some(source) = password.filter(|_| !ctx.safety.dry_run) {
        source.check_source(ctx)?;
    }
    // Nobody should type a password for a user that exists.
    if ctx.store().users().await?.iter().any(|user| user == name) {
        let line = ctx.command_line(&["user", "password"]).key(name.as_bytes());
        return Err(Failure::new(Exit::Refused, format!("user {} exists already; nothing was changed", shown(name)))
            .hint(format!("to give the user another password: '{line}'")));
    }
    let password = match password {
        Some(source) => Some(read(ctx, source, &format!("Password of the new user {}", shown(name))).await?),
        None => None,
    };
    let changes = [AuthChange::AddUser { name: name.to_owned(), password }];
    if ctx.safety.dry_run {
        return print_dry_run(ctx, &changes);
    }
    carry_out(ctx, ctx.store(), &ctx.consent_if_several(1, 0, "")?, &changes).await
}

fn check_new_name(ctx: &Context, name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(Failure::usage("the name of the user is empty"));
    }
    if let Some((user, _)) = name.split_once(':') {
        // The name may hold a password, and is not repeated.
        let line = ctx.command_line(&["user", "add"]).key(user.as_bytes());
        return Err(Failure::usage("'NAME:PASSWORD' is not accepted: command lines are visible to other users")
            .hint(format!("'{line}' asks for the password; --new-password-file FILE reads it")));
    }
    Ok(())
}

/// Reads the password; with --dry-run only if that asks nobody.
async fn read(ctx: &Context, source: &NewPassword, question: &str) -> Result<Secret, Failure> {
    match ctx.safety.dry_run && !source.is_given() {
        true => Ok(Secret::new("")),
        false => source.read(ctx, question).await,
    }
}

/// Deletes a user.
pub async fn delete(ctx: &Context, name: &str) -> Result<Exit, Failure> {
    let changes = [AuthChange::DeleteUser { name: name.to_owned() }];
    let Some(roles) = roles_of(ctx, name).await? else { return missing_user(ctx, name).await };
    refuse_lockout(ctx, &changes).await?;
    let about = match roles.as_slice() {
        [] => "who has no role".to_owned(),
        roles => format!("who has the {} {}", if roles.len() == 1 { "role" } else { "roles" }, listed_names(roles)),
    };
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: user {}, {about}", shown(name)));
        return print_dry_run(ctx, &changes);
    }
    let consent = ctx.consent(&format!("Delete user {}, {about}, {}", shown(name), cluster_words(ctx)))?;
    carry_out(ctx, ctx.store(), &consent, &changes).await
}

/// Sets a user's password.
pub async fn set_password(ctx: &Context, name: &str, password: &NewPassword) -> Result<Exit, Failure> {
    if !ctx.safety.dry_run {
        password.check_source(ctx)?;
    }
    if roles_of(ctx, name).await?.is_none() {
        return missing_user(ctx, name).await;
    }
    let password = read(ctx, password, &format!("New password of user {}", shown(name))).await?;
    let changes = [AuthChange::SetPassword { name: name.to_owned(), password }];
    if ctx.safety.dry_run {
        return print_dry_run(ctx, &changes);
    }
    let exit = carry_out(ctx, ctx.store(), &ctx.consent_if_several(1, 0, "")?, &changes).await?;
    if matches!(ctx.store().caller(), Some(Caller::Password(user)) if user == name) {
        ctx.out.note("this command's own user has another password now: change it where it is configured");
    }
    Ok(exit)
}

/// Grants roles to a user.
pub async fn grant(ctx: &Context, name: &str, roles: &[String]) -> Result<Exit, Failure> {
    let Some(has) = roles_of(ctx, name).await? else { return missing_user(ctx, name).await };
    let all = ctx.store().roles().await?;
    // etcd grants root even if there is no such role.
    if let Some(role) = roles.iter().find(|role| *role != ROOT && !all.contains(role)) {
        return Ok(not_found(ctx, "role", role, &all));
    }
    let change = |role: &String| AuthChange::GrantRole { user: name.to_owned(), role: role.clone() };
    let (unchanged, new): (Vec<_>, Vec<_>) = without_repeats(roles).into_iter().partition(|role| has.contains(role));
    let changes: Vec<AuthChange> = new.iter().map(change).collect();
    if !unchanged.is_empty() {
        let why = format!("user {} already has {}", shown(name), role_words(&unchanged));
        print_unchanged(ctx, &unchanged.iter().map(change).collect::<Vec<_>>(), &why)?;
    }
    if new.iter().any(|role| role == ROOT) {
        ctx.out.note("the role root allows everything, also changing users and roles");
    }
    match ctx.safety.dry_run {
        true => print_dry_run(ctx, &changes),
        false => carry_out(ctx, ctx.store(), &ctx.consent_if_several(1, 0, "")?, &changes).await,
    }
}

/// Revokes roles from a user.
pub async fn revoke(ctx: &Context, name: &str, roles: &[String]) -> Result<Exit, Failure> {
    let Some(has) = roles_of(ctx, name).await? else { return missing_user(ctx, name).await };
    let roles = without_repeats(roles);
    let lacking: Vec<String> = roles.iter().filter(|role| !has.contains(role)).cloned().collect();
    if !lacking.is_empty() {
        let (lacks, has) = (role_words(&lacking), listed_names(&has));
        ctx.out.note(&format!("user {} does not have {lacks}; it has: {has}; nothing was changed", shown(name)));
        return Ok(Exit::No);
    }
    let change = |role: &String| AuthChange::RevokeRole { user: name.to_owned(), role: role.clone() };
    let changes: Vec<AuthChange> = roles.iter().map(change).collect();
    refuse_lockout(ctx, &changes).await?;
    if ctx.safety.dry_run {
        return print_dry_run(ctx, &changes);
    }
    let consent =
        ctx.consent(&format!("Revoke {} from user {} {}", role_words(&roles), shown(name), cluster_words(ctx)))?;
    carry_out(ctx, ctx.store(), &consent, &changes).await
}

/// "role reader", "2 roles: reader, writer".
fn role_words(roles: &[String]) -> String {
    match roles {
        [role] => format!("the role {}", shown(role)),
        roles => format!("{}: {}", counted(roles.len(), "role"), listed_names(roles)),
    }
}

fn without_repeats(roles: &[String]) -> Vec<String> {
    let mut once: Vec<String> = Vec::with_capacity(roles.len());
    for role in roles {
        if !once.contains(role) {
            once.push(role.clone());
        }
    }
    once
}

/// The roles of the user; `None` if it does not exist.
async fn roles_of(ctx: &Context, name: &str) -> Result<Option<Vec<String>>, Failure> {
    match ctx.store().user_roles(name).await {
        Ok(roles) => Ok(Some(roles)),
        Err(error) if error.is_refusal(Refusal::UserNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn missing_user(ctx: &Context, name: &str) -> Result<Exit, Failure> {
    Ok(not_found(ctx, "user", name, &ctx.store().users().await?))
}
