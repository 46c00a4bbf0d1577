//! `kvadm auth enable`: switches authentication on in a way that leaves the caller able to log in.

mod rescue;

use std::io;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::access::words::{ROOT, shown};
use crate::access::{AuthChange, AuthState, check_lockout};
use crate::args::safety_options;
use crate::commands::auth_change::{
    again_with_password, cluster_words, is_administrator, make, print_dry_run, print_unchanged, row,
};
use crate::commands::denied::no_user;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Caller, Error, PasswordCheck, Refusal, Store};
use crate::transport::Secret;
use rescue::{Rescue, TEMPORARY};

/// Enable authentication, and make sure that this command's user can log in
///
/// etcd checks no password while authentication is disabled, so that a mistyped one
/// would lock everybody out. kvadm therefore sets the password of its own user to the
/// configured one (--password-file, KVADM_PASSWORD or the configuration file) before it
/// enables authentication, and logs in afterwards. The user must have the role root. If
/// the user is root, kvadm also adds the user and the role root, as far as they are
/// missing. The question and --dry-run name every step.
///
/// First kvadm adds a temporary user kvadm-enable-… with the role root and a random
/// password. If its own user cannot log in once authentication is enabled, or after a
/// signal, kvadm logs in as the temporary user and disables authentication again. At the
/// end it deletes that user. If kvadm is killed (SIGKILL, or a second Ctrl-C), that user
/// is left, and authentication may be enabled: see 'kvadm auth status', and delete it.
///
/// A user that was added without a password cannot log in with one that is set later:
/// etcd keeps that it has none. Such a user must be deleted and added again.
///
/// Exit codes:
///   0  authentication is enabled, and this command's user has logged in
///   5  refused: the user is missing, has no role root, or cannot log in; authentication
///      that this command had enabled is disabled again
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

/// Limit of all steps. Each request has its own timeout.
const STEPS_TIMEOUT: Duration = Duration::from_secs(120);

/// What is done with the password of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PasswordStep {
    /// Nothing: authentication was enabled before, or the caller has a certificate.
    None,
    /// It stays, by `--keep-password`.
    Kept,
    /// It is set to the configured one, or the user is added with it.
    Set,
}

/// Runs the verb.
///
/// # Errors
/// A refusal that protects the caller, a declined confirmation, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    // Without credentials: etcd takes no login before authentication is enabled.
    let store = ctx.store().anonymous();
    let caller = ctx.store().caller();
    if store.auth_status().await?.enabled == Some(true) {
        return already_enabled(ctx, caller.as_ref()).await;
    }
    let changes = plan(ctx, &store, caller.as_ref(), args.keep_password).await?;
    let Some(caller) = caller else { return Ok(Exit::Done) };
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: would first add a temporary user {TEMPORARY}… with the role root"));
        let exit = print_dry_run(ctx, &changes)?;
        ctx.out.note(&format!(
            "dry run: would log in as user {} afterwards, disable authentication again if that fails, and delete the \
             temporary user",
            shown(caller.user())
        ));
        return Ok(exit);
    }
    // Once authentication is enabled, only a login can read them.
    let roles = match caller.user() {
        ROOT => Vec::new(),
        user => store.user_roles(user).await?,
    };
    let consent = ctx.consent(&question(ctx, &changes, &caller))?;
    // A signal must not end the steps in between: it is looked for after each of them.
    ctx.signals.hold();
    let steady = store.for_cleanup(STEPS_TIMEOUT);
    let steady = ctx.deadline().map_or(steady.clone(), |deadline| steady.until(deadline));
    let rescue = Rescue::prepare(ctx, &steady, &consent).await?;
    let mut sink = ctx.out.stream();
    let mut printed: io::Result<()> = Ok(());
    let mut print = |change: &AuthChange, outcome: &'static str| {
        let pushed = sink.push(&row(change, outcome));
        if printed.is_ok() {
            printed = pushed;
        }
    };
    let mut sent = false;
    let mut result = Ok(());
    for change in &changes {
        if ctx.signals.cancel().is_cancelled() {
            result = Err(Failure::new(Exit::Interrupted, "interrupted"));
            break;
        }
        sent = *change == AuthChange::Enable;
        match make(ctx, &steady, &consent, change).await {
            Ok(outcome) => print(change, outcome),
            Err(failure) => {
                result = Err(failure);
                break;
            }
        }
    }
    if result.is_ok() {
        let is_set = changes.iter().any(|change| {
            matches!(change, AuthChange::SetPassword { .. } | AuthChange::AddUser { password: Some(_), .. })
        });
        let step = match args.keep_password {
            true => PasswordStep::Kept,
            false if is_set => PasswordStep::Set,
            false => PasswordStep::None,
        };
        result = prove(ctx, &caller, step, &roles).await;
    }
    let ended = match result {
        Ok(()) => rescue.delete_as_caller(ctx, &consent).await,
        Err(failure) => Err(rescue.undo(ctx, &consent, failure, sent, &mut print).await),
    };
    let finished = printed.and(sink.finish());
    ended?;
    finished?;
    ctx.out.note(&format!("authentication is enabled; {}", how_to_reach(&caller)));
    Ok(Exit::Done)
}

/// Proves that the user can log in, as the exit code 0 says.
async fn already_enabled(ctx: &Context, caller: Option<&Caller>) -> Result<Exit, Failure> {
    let about = "authentication is already enabled";
    let Some(caller) = caller else {
        return Err(Failure::conflict("this command has no user, so that nothing proves that it can log in")
            .context(about)
            .hint("add --user root --password-file FILE; 'kvadm auth status' needs no user"));
    };
    prove(ctx, caller, PasswordStep::None, &[]).await.map_err(|failure| failure.context(about))?;
    print_unchanged(ctx, &[AuthChange::Enable], &format!("{about}; user {} can log in", shown(caller.user())))
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
) -> Result<Vec<AuthChange>, Failure> {
    let users = store.users().await?;
    let exists = |user: &str| users.iter().any(|one| one == user);
    let password: Option<&Secret> = ctx.config.connect.credentials.as_ref().map(|who| &who.password);
    let mut changes = Vec::new();
    let is_root = caller.is_some_and(|caller| caller.user() == ROOT);
    if is_root && !store.roles().await?.iter().any(|role| role == ROOT) {
        changes.push(AuthChange::AddRole { name: ROOT.to_owned() });
    }
    if let Some(caller) = caller {
        let name = || caller.user().to_owned();
        match (exists(caller.user()), password) {
            (false, Some(password)) if is_root && !keep_password => {
                changes.push(AuthChange::AddUser { name: name(), password: Some(password.clone()) });
            }
            (false, None) if is_root => changes.push(AuthChange::AddUser { name: name(), password: None }),
            (true, Some(password)) if !keep_password => {
                changes.push(AuthChange::SetPassword { name: name(), password: password.clone() });
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
    Ok(changes)
}

/// The steps in one question. The one that changes a password is named, because others may use the old one.
fn question(ctx: &Context, changes: &[AuthChange], caller: &Caller) -> String {
    let steps: Vec<String> = changes
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
    format!(
        "{text} {}, then log in as user {}, and disable it again if that fails (as a temporary user {TEMPORARY}… with the \
         role root, which is added first and deleted at the end)",
        cluster_words(ctx),
        shown(caller.user())
    )
}

/// Logs in as the caller, and checks that it has the role root. Its roles are those for a hint.
async fn prove(ctx: &Context, caller: &Caller, step: PasswordStep, roles: &[String]) -> Result<(), Failure> {
    let user = shown(caller.user());
    if let (Caller::Password(name), Some(credentials)) = (caller, &ctx.config.connect.credentials)
        && ctx.store().check_password(name, &credentials.password).await? != PasswordCheck::Accepted
    {
        let failure = Failure::conflict(format!("user {user} cannot log in with the configured password"));
        return Err(match step {
            PasswordStep::None => {
                failure.hint("run 'kvadm config' to see where the user and the password are configured")
            }
            PasswordStep::Kept => failure.hint("omit --keep-password to give the user the configured password"),
            PasswordStep::Set => no_password(ctx, name, roles, &failure),
        });
    }
    match ctx.store().user_roles(caller.user()).await {
        Ok(roles) if roles.iter().any(|role| role == ROOT) => Ok(()),
        Ok(_) => Err(Failure::conflict(format!("user {user} does not have the role root"))),
        Err(error) if error.is_refusal(Refusal::UserNotFound) => {
            let failure = Failure::conflict(no_user(caller));
            Err(failure.hint("log in as a user with the role root, for example with --user root --password-file FILE"))
        }
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

/// The password was set right before, so that the user cannot have another one.
fn no_password(ctx: &Context, name: &str, roles: &[String], failure: &Failure) -> Failure {
    let why = format!(
        "user {} was probably added without a password: etcd keeps that, and takes no login with a password that is set \
         later",
        shown(name)
    );
    let failure = Failure::conflict(why).context(failure.one_line());
    if name == ROOT {
        let line = ctx.command_line(&["user", "delete"]).key(name.as_bytes()).words(["--yes"]);
        return failure.hint(format!("run '{line}' and then this command again: it adds root with the password"));
    }
    again_with_password(ctx, name, roles, failure)
}
