//! `kvadm auth enable`: switches authentication on in a way that leaves the caller able to log in.

mod rescue;

use clap::Args as ClapArgs;

use crate::access::words::{ROOT, shown};
use crate::access::{AuthChange, AuthState, check_lockout};
use crate::args::safety_options;
use crate::commands::auth_change::{carry_out, cluster_words, is_administrator, print_dry_run, print_unchanged};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Caller, Error, PasswordCheck, Store};
use crate::transport::Secret;
use rescue::Rescue;

/// Enable authentication, and make sure that this command's user can log in
///
/// etcd checks no password while authentication is disabled, so that a mistyped one
/// would lock everybody out. kvadm therefore sets the password of its own user to the
/// configured one (--password-file, KVADM_PASSWORD or the configuration file) before it
/// enables authentication, and logs in afterwards. The user must have the role root. If
/// the user is root, kvadm also adds the user and the role root, as far as they are
/// missing. The question and --dry-run name every step.
///
/// With --keep-password no password is set, and with a client certificate and no --user
/// none is known: kvadm then adds a user kvadm-enable-… with the role root and a random
/// password. If its own user cannot work after authentication is enabled, kvadm logs in
/// as that user and disables authentication again. Either way it deletes that user. If
/// kvadm is killed in between, that user is left: delete it.
///
/// Exit codes:
///   0  authentication is enabled, and this command's user has logged in
///   5  refused: the user is missing, has no role root, or cannot log in
///   7  unknown: the answer of etcd was lost
#[derive(ClapArgs, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm auth enable --user root --password-file root.pw --dry-run
  kvadm auth enable --user root --password-file root.pw
  kvadm auth enable --cert-file root.crt --key-file root.key",
    args = safety_options()
)]
pub struct Args {
    /// Do not set the password of this command's user: try the configured one
    #[arg(long)]
    keep_password: bool,
}

/// What has to be done.
struct EnablePlan {
    changes: Vec<AuthChange>,
    /// Whether the login of the caller is certain: its password is set by this command.
    is_certain: bool,
}

/// Runs the verb.
///
/// # Errors
/// A refusal that protects the caller, a declined confirmation, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    // Without credentials: etcd takes no login before authentication is enabled.
    let store = ctx.store().anonymous();
    if store.auth_status().await?.enabled == Some(true) {
        return print_unchanged(ctx, &[AuthChange::Enable], "authentication is already enabled");
    }
    let caller = ctx.store().caller();
    let plan = plan(ctx, &store, caller.as_ref(), args.keep_password).await?;
    let Some(caller) = caller else { return Ok(Exit::Done) };
    if ctx.safety.dry_run {
        let exit = print_dry_run(ctx, &plan.changes)?;
        ctx.out.note(&format!("dry run: would log in as user {} afterwards", shown(caller.user())));
        return Ok(exit);
    }
    let consent = ctx.consent(&question(ctx, &plan, &caller))?;
    let rescue = if plan.is_certain { None } else { Some(Rescue::prepare(ctx, &store, &consent).await?) };
    let done = carry_out(ctx, &store, &consent, &plan.changes).await;
    let proved = match &done {
        Ok(_) => prove(ctx, &caller).await,
        Err(_) => Ok(()),
    };
    match (rescue, proved) {
        (Some(rescue), proved) => rescue.end(ctx, &consent, done, proved, &caller).await?,
        (None, proved) => {
            done?;
            proved.map_err(|failure| failure.context("authentication is enabled"))?;
        }
    }
    ctx.out.note(&format!("authentication is enabled; {}", how_to_reach(&caller)));
    Ok(Exit::Done)
}

fn how_to_reach(caller: &Caller) -> String {
    let user = shown(caller.user());
    match caller {
        Caller::Password(_) => format!(
            "commands need a user from now on: 'username: {user}' and a password in a configuration file that only you \
             can read, or --user {user} --password-file FILE"
        ),
        Caller::Certificate(_) => format!("user {user} is recognized by the client certificate"),
    }
}

/// The steps, or why authentication must not be enabled.
async fn plan(
    ctx: &Context,
    store: &Store,
    caller: Option<&Caller>,
    keep_password: bool,
) -> Result<EnablePlan, Failure> {
    let users = store.users().await?;
    let exists = |user: &str| users.iter().any(|one| one == user);
    let password: Option<&Secret> = ctx.config.connect.credentials.as_ref().map(|who| &who.password);
    let mut changes = Vec::new();
    let mut is_certain = false;
    let is_root = caller.is_some_and(|caller| caller.user() == ROOT);
    if is_root && !store.roles().await?.iter().any(|role| role == ROOT) {
        changes.push(AuthChange::AddRole { name: ROOT.to_owned() });
    }
    if let Some(caller) = caller {
        let name = || caller.user().to_owned();
        match (exists(caller.user()), password) {
            (false, Some(password)) if is_root && !keep_password => {
                changes.push(AuthChange::AddUser { name: name(), password: Some(password.clone()) });
                is_certain = true;
            }
            (false, None) if is_root => changes.push(AuthChange::AddUser { name: name(), password: None }),
            (true, Some(password)) if !keep_password => {
                changes.push(AuthChange::SetPassword { name: name(), password: password.clone() });
                is_certain = true;
            }
            _ => {}
        }
    }
    let added = changes.iter().any(|change| matches!(change, AuthChange::AddUser { .. }));
    if is_root && (added || exists(ROOT)) && !is_administrator(store, ROOT).await? {
        changes.push(AuthChange::GrantRole { user: ROOT.to_owned(), role: ROOT.to_owned() });
    }
    let mut state = AuthState {
        enabled: false,
        caller: caller.map(|caller| caller.user().to_owned()),
        caller_is_root: false,
        root_is_root: is_administrator(store, ROOT).await?,
    };
    if let Some(caller) = caller {
        state.caller_is_root = is_administrator(store, caller.user()).await?;
    }
    changes.push(AuthChange::Enable);
    check_lockout(&state, &changes)?;
    Ok(EnablePlan { changes, is_certain })
}

/// The steps in one question. The one that changes a password is named, because others may use the old one.
fn question(ctx: &Context, plan: &EnablePlan, caller: &Caller) -> String {
    let steps: Vec<String> = plan
        .changes
        .iter()
        .map(|change| match change {
            AuthChange::SetPassword { .. } => format!("{change} to the configured one"),
            change => change.to_string(),
        })
        .collect();
    let mut text = steps.join(", ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let proof = match plan.is_certain {
        true => "",
        false => ", and disable it again if that fails",
    };
    format!("{text} {}, then log in as user {}{proof}", cluster_words(ctx), shown(caller.user()))
}

/// Logs in as the caller, and checks that it has the role root.
async fn prove(ctx: &Context, caller: &Caller) -> Result<(), Failure> {
    let user = shown(caller.user());
    if let (Caller::Password(name), Some(credentials)) = (caller, &ctx.config.connect.credentials)
        && ctx.store().check_password(name, &credentials.password).await? != PasswordCheck::Accepted
    {
        return Err(Failure::conflict(format!("user {user} cannot log in with the configured password"))
            .hint("omit --keep-password to give the user the configured password"));
    }
    match is_administrator(ctx.store(), caller.user()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::conflict(format!("user {user} does not have the role root"))),
        Err(error @ Error::Refused { .. }) => {
            let hint = match caller {
                Caller::Password(_) => "run 'kvadm config' to see where the user and the password are configured",
                Caller::Certificate(_) => {
                    "etcd recognizes certificates only with its option --client-cert-auth; add --user and a password otherwise"
                }
            };
            let failure = Failure { exit: Exit::Conflict, hints: vec![hint.to_owned()], ..Failure::from(error) };
            Err(failure.context(format!("etcd does not accept user {user}")))
        }
        Err(error) => Err(Failure::from(error).context(format!("cannot tell whether user {user} is accepted"))),
    }
}
