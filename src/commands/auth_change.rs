//! What the verbs that change users and roles share: the caller's state, carrying out changes, and what is missing.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::access::words::{ROOT, format_permission, shown};
use crate::access::{AuthChange, AuthState, ChangeOutcome, check_lockout, execute};
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, Refusal, Store};
use crate::output::AuthChangeRow;
use crate::plural::counted;

/// Concurrent requests for the roles of users.
const CONCURRENT_REQUESTS: usize = 16;
/// Time limit for looking for a user whose addition was not answered.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long kvadm reads the roles of all users before it says so.
const ANNOUNCE_AFTER: Duration = Duration::from_secs(2);
/// Names that an error lists.
const LISTED_NAMES: usize = 8;

/// A change as a record. `outcome` is one of `applied`, `found-applied`, `unchanged` and `would-apply`.
pub fn row<'a>(change: &'a AuthChange, outcome: &'static str) -> AuthChangeRow<'a> {
    let row = |change| AuthChangeRow {
        change,
        outcome,
        user: None,
        role: None,
        access: None,
        range: None,
        dry_run: outcome == "would-apply",
    };
    let of_user = |change, user: &'a str| AuthChangeRow { user: Some(user), ..row(change) };
    let of_role = |change, role: &'a str| AuthChangeRow { role: Some(role), ..row(change) };
    match change {
        AuthChange::AddUser { name, .. } => of_user("add-user", name),
        AuthChange::DeleteUser { name } => of_user("delete-user", name),
        AuthChange::SetPassword { name, .. } => of_user("set-password", name),
        AuthChange::GrantRole { user, role } => AuthChangeRow { role: Some(role), ..of_user("grant-role", user) },
        AuthChange::RevokeRole { user, role } => AuthChangeRow { role: Some(role), ..of_user("revoke-role", user) },
        AuthChange::AddRole { name } => of_role("add-role", name),
        AuthChange::DeleteRole { name } => of_role("delete-role", name),
        AuthChange::GrantPermission { role, permission } => AuthChangeRow {
            access: Some(permission.access.word()),
            range: Some(&permission.range),
            ..of_role("grant-permission", role)
        },
        AuthChange::RevokePermission { role, range } => {
            AuthChangeRow { range: Some(range), ..of_role("revoke-permission", role) }
        }
        AuthChange::Enable => row("enable"),
        AuthChange::Disable => row("disable"),
    }
}

/// The cluster in a question: "on cluster 1f2e (context prod, https://etcd-1:2379)".
pub fn cluster_words(ctx: &Context) -> String {
    let id = ctx.store().cluster().map_or_else(String::new, |id| format!(" {id:x}"));
    let endpoints: Vec<String> = ctx.config.connect.endpoints.iter().map(ToString::to_string).collect();
    let mut about = endpoints.join(",");
    let mut options = ctx.config.store_options.iter().skip_while(|option| *option != "--context");
    if let Some(name) = options.nth(1) {
        about = format!("context {}, {about}", shown(&name.to_string_lossy()));
    }
    format!("on cluster{id} ({about})")
}

/// The state by which a lockout is judged. It is read only if authentication is enabled.
///
/// # Errors
/// Any error of the requests.
pub async fn auth_state(store: &Store) -> Result<AuthState, Error> {
    let caller = store.caller().map(|caller| caller.user().to_owned());
    let enabled = store.auth_status().await?.enabled != Some(false);
    if !enabled {
        return Ok(AuthState { enabled, caller, caller_is_root: false, root_is_root: false });
    }
    let caller_is_root = match &caller {
        Some(caller) => is_administrator(store, caller).await?,
        None => false,
    };
    let root_is_root = caller.as_deref() == Some(ROOT) && caller_is_root || is_administrator(store, ROOT).await?;
    Ok(AuthState { enabled, caller, caller_is_root, root_is_root })
}

/// Whether the user exists and has the role `root`.
///
/// # Errors
/// Any error of the request.
pub async fn is_administrator(store: &Store, user: &str) -> Result<bool, Error> {
    match store.user_roles(user).await {
        Ok(roles) => Ok(roles.iter().any(|role| role == ROOT)),
        Err(error) if error.is_refusal(Refusal::UserNotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Refuses changes that would lock the caller out, whatever etcd would say to them.
///
/// # Errors
/// [`Exit::Conflict`], or any error of the requests.
pub async fn refuse_lockout(ctx: &Context, changes: &[AuthChange]) -> Result<(), Failure> {
    let concerns = |change: &AuthChange| match change {
        AuthChange::DeleteUser { .. } => true,
        AuthChange::RevokeRole { role, .. } | AuthChange::DeleteRole { name: role } => role == ROOT,
        _ => false,
    };
    if !changes.iter().any(concerns) {
        return Ok(());
    }
    let state = auth_state(ctx.store()).await?;
    Ok(check_lockout(&state, changes)?)
}

/// Prints what would be done, or does it and prints what was done.
///
/// # Errors
/// The failure of the first change that failed. The changes before it are printed.
pub async fn carry_out(
    ctx: &Context,
    store: &Store,
    consent: &Consent,
    changes: &[AuthChange],
) -> Result<Exit, Failure> {
    let mut sink = ctx.out.stream();
    for (done, change) in changes.iter().enumerate() {
        match make(ctx, store, consent, change).await {
            Ok(outcome) => sink.push(&row(change, outcome))?,
            Err(failure) => {
                sink.finish()?;
                return Err(match changes.len() - done - 1 {
                    0 => failure,
                    left => failure.hint(format!(
                        "{} not done; run the command again: what is done already is left",
                        match left {
                            1 => "the change after it was".to_owned(),
                            left => format!("the {left} changes after it were"),
                        }
                    )),
                });
            }
        }
    }
    sink.finish()?;
    Ok(Exit::Done)
}

/// Makes one change, and returns its outcome in JSON.
///
/// # Errors
/// The failure of the change, with what helps.
pub async fn make(
    ctx: &Context,
    store: &Store,
    consent: &Consent,
    change: &AuthChange,
) -> Result<&'static str, Failure> {
    match execute(store, consent, change).await {
        Ok(ChangeOutcome::Applied) => Ok("applied"),
        Ok(ChangeOutcome::FoundApplied) => {
            ctx.out.note(&format!("the answer to '{change}' was lost; etcd is in the state that was asked for"));
            Ok("found-applied")
        }
        Err(error) => Err(explain(ctx, store, change, error).await),
    }
}

/// Prints what a dry run would do.
///
/// # Errors
/// The stream is closed or full.
pub fn print_dry_run(ctx: &Context, changes: &[AuthChange]) -> Result<Exit, Failure> {
    let mut sink = ctx.out.stream();
    for change in changes {
        ctx.out.note(&format!("dry run: would {change}"));
        sink.push(&row(change, "would-apply"))?;
    }
    sink.finish()?;
    Ok(Exit::Done)
}

/// Prints changes that etcd's state makes unnecessary.
///
/// # Errors
/// The stream is closed or full.
pub fn print_unchanged(ctx: &Context, changes: &[AuthChange], why: &str) -> Result<Exit, Failure> {
    ctx.out.note(why);
    let mut sink = ctx.out.stream();
    for change in changes {
        sink.push(&row(change, "unchanged"))?;
    }
    sink.finish()?;
    Ok(Exit::Done)
}

/// The failure of a change, with what helps: other names, or what is granted.
pub async fn explain(ctx: &Context, store: &Store, change: &AuthChange, error: Error) -> Failure {
    let unknown = matches!(error, Error::Unknown { .. } | Error::Interrupted { unknown: true, .. });
    let mut failure = Failure::from(error).context(format!("cannot {change}"));
    if unknown {
        failure.hints = vec![look_at(ctx, change)];
        if let AuthChange::AddUser { name, password: Some(_) } = change {
            failure.hints.insert(0, look_for_user(store, name).await);
        }
        return failure;
    }
    if let (AuthChange::GrantPermission { role, .. }, false) = (change, failure.exit == Exit::Refused) {
        let show = ctx.command_line(&["role", "show"]).key(role.as_bytes());
        failure =
            failure.hint(format!("if the role had another permission for these keys, it may be revoked: '{show}'"));
    }
    if let (Some(Error::Refused { kind: Refusal::PermissionNotGranted, .. }), AuthChange::RevokePermission { role, .. }) =
        (failure.store_error(), change)
        && let Ok(permissions) = store.role_permissions(role).await
    {
        let granted: Vec<String> = permissions.iter().map(format_permission).collect();
        failure.hints = vec![format!("role {} has: {}", shown(role), listed(&granted))];
    }
    failure
}

/// Whether a user exists whose addition was not answered. Without a login, its password cannot be known.
async fn look_for_user(store: &Store, name: &str) -> String {
    let shown = shown(name);
    match store.for_cleanup(LOOK_TIMEOUT).users().await {
        Ok(users) if users.iter().any(|user| user == name) => {
            format!("user {shown} exists now; whether this command added it, and with its password, is not known")
        }
        Ok(_) => format!("user {shown} does not exist so far; etcd may still add it"),
        Err(_) => format!("whether user {shown} exists could not be read"),
    }
}

/// How to see the outcome of a change whose answer was lost.
fn look_at(ctx: &Context, change: &AuthChange) -> String {
    let line = |words: &[&str], name: &str| ctx.command_line(words).key(name.as_bytes()).to_string();
    match change {
        AuthChange::SetPassword { name, .. } => {
            format!("set the password again, which does no harm: '{}'", line(&["user", "password"], name))
        }
        AuthChange::AddUser { name, password: Some(_) } => {
            format!("if the user exists, set its password, which does no harm: '{}'", line(&["user", "password"], name))
        }
        AuthChange::AddUser { name, .. } | AuthChange::DeleteUser { name } => {
            format!("etcd may still apply it; see whether the user exists: '{}'", line(&["user", "show"], name))
        }
        AuthChange::GrantRole { user, .. } | AuthChange::RevokeRole { user, .. } => {
            format!("etcd may still apply it; see the roles of the user: '{}'", line(&["user", "show"], user))
        }
        AuthChange::AddRole { name: role }
        | AuthChange::DeleteRole { name: role }
        | AuthChange::GrantPermission { role, .. }
        | AuthChange::RevokePermission { role, .. } => {
            format!("etcd may still apply it; see the role: '{}'", line(&["role", "show"], role))
        }
        AuthChange::Enable | AuthChange::Disable => {
            format!("etcd may still apply it; run '{}'", ctx.command_line(&["auth", "status"]))
        }
    }
}

/// Adds the commands that give a password to a user that was added without one.
pub fn again_with_password(ctx: &Context, name: &str, roles: &[String], failure: Failure) -> Failure {
    let line = |words: &[&str]| ctx.command_line(words).key(name.as_bytes());
    let mut lines = vec![line(&["user", "delete"]).words(["--yes"]), line(&["user", "add"])];
    lines.extend(roles.iter().map(|role| line(&["user", "grant"]).key(role.as_bytes())));
    let lines: Vec<String> = lines.iter().map(|line| format!("'{line}'")).collect();
    failure.hint(format!("delete the user and add it again, with its roles: {}", lines.join(", ")))
}

/// Says that a user or role does not exist, and which one may be meant. Returns the exit code of "not found".
pub fn not_found(ctx: &Context, kind: &str, name: &str, all: &[String]) -> Exit {
    let near = nearest(name, all).map_or_else(String::new, |near| format!("; did you mean {}?", shown(near)));
    ctx.out.note(&format!("{kind} not found: {}{near}", shown(name)));
    Exit::No
}

/// The name that is at most two letters away.
fn nearest<'a>(name: &str, all: &'a [String]) -> Option<&'a String> {
    let distance = |other: &&String| strsim::damerau_levenshtein(name, other);
    let near = all.iter().filter(|other| other.len().abs_diff(name.len()) <= 2).min_by_key(distance)?;
    (distance(&near) <= 2 && distance(&near) < name.chars().count()).then_some(near)
}

/// Several words in a sentence, at most [`LISTED_NAMES`] of them.
pub fn listed(words: &[String]) -> String {
    if words.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = words.iter().take(LISTED_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = words.len().checked_sub(LISTED_NAMES).filter(|more| *more > 0) {
        text += &format!(" and {more} more");
    }
    text
}

/// Several names in a sentence.
pub fn listed_names(names: &[String]) -> String {
    listed(&names.iter().map(|name| shown(name)).collect::<Vec<_>>())
}

/// The users that have a role, in order.
///
/// # Errors
/// Any error of the requests.
pub async fn users_with_role(ctx: &Context, role: &str) -> Result<Vec<String>, Error> {
    let store = ctx.store();
    let users = announced(ctx, "waiting for the list of users", store.users()).await?;
    let about = format!("reading the roles of {}", counted(users.len(), "user"));
    announced(ctx, &about, users_among(store, &users, role)).await
}

/// Says what is waited for if it takes long.
async fn announced<T>(ctx: &Context, about: &str, work: impl Future<Output = T>) -> T {
    let due = Instant::now() + ANNOUNCE_AFTER;
    tokio::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep_until(due) => ctx.out.note(about),
    }
    work.await
}

async fn users_among(store: &Store, users: &[String], role: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for chunk in users.chunks(CONCURRENT_REQUESTS) {
        let mut tasks = JoinSet::new();
        for user in chunk {
            let (store, user) = (store.clone(), user.clone());
            tasks.spawn(async move { (store.user_roles(&user).await, user) });
        }
        for (roles, user) in tasks.join_all().await {
            match roles {
                Ok(roles) if roles.iter().any(|one| one == role) => found.push(user),
                Ok(_) => {}
                // Deleted meanwhile.
                Err(error) if error.is_refusal(Refusal::UserNotFound) => {}
                Err(error) => return Err(error),
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_a_near_one() {
        let all: Vec<String> = ["alice", "bob", "root"].map(str::to_owned).to_vec();
        let near = |name: &str| nearest(name, &all).map(String::as_str);
        assert_eq!(near("alcie"), Some("alice"));
        assert_eq!(near("rot"), Some("root"));
        assert_eq!(near("x"), None);
        assert_eq!(near("charlie"), None);
        let many: Vec<String> = (0..10).map(|n| format!("r{n}")).collect();
        assert_eq!(listed(&many), "r0, r1, r2, r3, r4, r5, r6, r7 and 2 more");
        assert_eq!(listed(&[]), "nothing");
    }
}
