//! `kvadm auth diff`, `auth apply` and `auth export`: users and roles as a file.

use std::path::PathBuf;

use clap::ValueHint;

use super::passwords::{Passwords, read_passwords};
use crate::access::words::{format_range, shown};
use crate::access::{
    AccessApplier, AccessApplyError, AccessEffect, AccessPlan, AccessState, AuthChange, ChangeOutcome, KeptEntry,
    MAX_FILE_BYTES, ObservedAccess, PlanRules, PlannedChange, access_file_data, access_file_schema, parse_access_file,
    plan_access, read_access, render_access_file,
};
use crate::args::safety_options;
use crate::commands::auth_change::{cluster_words, explain, listed_names, refuse_lockout, row};
use crate::commands::input::read_document_file;
use crate::commands::new_password::ask_twice;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Caller;
use crate::output::{AccessSummary, Out};
use crate::plural::counted;

/// The file, and what of the present state stays.
#[derive(clap::Args, Debug)]
pub struct FileArgs {
    /// File of users and roles; - for stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Keep users and roles that FILE does not name
    ///
    /// Users and roles that FILE names become as FILE has them all the same: a role that FILE does not give to a user is taken
    /// from the user, and a permission that FILE does not give to a role is revoked.
    #[arg(long)]
    no_delete: bool,
}

/// Show what would make the users and roles those of a file
///
/// Prints a line for each change that 'kvadm auth apply' would make, in its order: + for
/// one that adds, ~ for one that replaces a permission, - for one that removes.
/// The file is the whole truth: users and roles that it does not name are deleted, except
/// user root and the user that kvadm logs in as. kvadm-auth(5) describes the file.
///
/// Exit codes:
///   0  no difference
///   1  different
///   2  the file is not valid
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:\n  kvadm auth diff roles.yaml\n  kvadm auth diff roles.yaml --no-delete -o json"
)]
pub struct DiffArgs {
    #[command(flatten)]
    file: FileArgs,
}

/// Make the users and roles those of a file
///
/// Prints the changes, asks, and makes them: first what adds, then what removes, so that
/// nobody loses a right in between. Right before each removal kvadm reads again what the
/// removal rests on. Each change is printed as soon as it is made. What is interrupted is
/// continued by the same command.
///
/// User root, its role root, and the user that kvadm logs in as are never removed.
/// Passwords of existing users are never changed.
///
/// Exit codes:
///   0  the users and roles are those of the file
///   2  the file is not valid
///   5  not confirmed, new users have no password, or the caller would be locked out
///   6  stopped: another client changed users or roles meanwhile
///   7  a change was sent, and its outcome is unknown
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm auth apply roles.yaml --dry-run
  kvadm auth apply roles.yaml --passwords-file passwords.yaml
  kvadm auth apply roles.yaml --no-password --yes",
    args = safety_options()
)]
pub struct ApplyArgs {
    #[command(flatten)]
    file: FileArgs,
    /// YAML file of passwords of new users, NAME: PASSWORD; nobody else may read it
    ///
    /// Only users that are added get their password. The file may have the passwords of others, too. A pipe such as that of
    /// '<(pass show etcd)' can be read in place of a file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    passwords_file: Option<PathBuf>,
    /// Add new users without a password: they log in with client certificates
    ///
    /// With --passwords-file, those that the file of passwords does not have.
    #[arg(long)]
    no_password: bool,
}

/// Print the users and roles as a file for 'auth diff' and 'auth apply'
///
/// The file has no passwords: etcd does not tell them. With -o json it is a JSON file,
/// which the other commands read as well.
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:\n  kvadm auth export > roles.yaml\n  kvadm auth export --schema > roles.schema.json"
)]
pub struct ExportArgs {
    /// Print the JSON Schema of such files; do not connect
    #[arg(long)]
    pub schema: bool,
}

/// Prints the JSON Schema of the file.
///
/// # Errors
/// The output is closed or full.
pub fn print_schema(out: &Out) -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(&access_file_schema()).unwrap_or_default();
    print(out, &format!("{text}\n"))
}

fn print(out: &Out, text: &str) -> Result<Exit, Failure> {
    out.bytes(text.as_bytes())?;
    out.flush()?;
    Ok(Exit::Done)
}

/// Prints the users and roles as a file.
///
/// # Errors
/// An error of etcd or the connection.
pub async fn export(ctx: &Context, args: &ExportArgs) -> Result<Exit, Failure> {
    if args.schema {
        return print_schema(&ctx.out);
    }
    let observed = read(ctx).await?;
    for (role, range) in &observed.empty_ranges {
        ctx.out.warn(&format!(
            "role {} has a permission on {}, a range without keys, which allows nothing and is left out",
            shown(role),
            format_range(range)
        ));
    }
    let text = match ctx.out.is_json() {
        true => format!("{}\n", access_file_data(&observed.state)),
        false => render_access_file(&observed.state),
    };
    print(&ctx.out, &text)
}

async fn read(ctx: &Context) -> Result<ObservedAccess, Failure> {
    let progress = ctx.out.progress("reading users and roles", None);
    let read = read_access(ctx.store()).await;
    progress.finish();
    read.map_err(|error| Failure::from(error).context("cannot read the users and roles"))
}

/// Everything that a plan is made of.
struct Planned {
    plan: AccessPlan,
    observed: ObservedAccess,
    name: String,
    wanted: AccessState,
}

async fn make_plan(ctx: &Context, args: &FileArgs) -> Result<Planned, Failure> {
    let hint = "'kvadm auth export' prints such a file";
    let (bytes, name) = read_document_file(ctx, &args.file, MAX_FILE_BYTES, "files of users and roles", hint).await?;
    let wanted = parse_access_file(&bytes, &name)?;
    let observed = read(ctx).await?;
    let caller = ctx.store().caller();
    let rules = PlanRules { delete: !args.no_delete, caller: caller.as_ref().map(Caller::user) };
    let mut plan = plan_access(&observed.state, &wanted, rules);
    plan.revoke_empty_ranges(&observed.empty_ranges);
    for kept in &plan.kept {
        ctx.out.note(&match kept {
            KeptEntry::Root => "user root stays: kvadm never deletes it".to_owned(),
            KeptEntry::Caller(user) => format!("user {} stays: this command itself is this user", shown(user)),
            KeptEntry::Role(role, user) => format!("role {} stays: user {} has it", shown(role), shown(user)),
        });
    }
    Ok(Planned { plan, observed, name, wanted })
}

/// Shows the differences.
///
/// # Errors
/// A file that is not valid, or an error of etcd or the connection.
pub async fn diff(ctx: &Context, args: &DiffArgs) -> Result<Exit, Failure> {
    let Planned { plan, name, .. } = make_plan(ctx, &args.file).await?;
    match show(ctx, &plan) {
        // A line was to be printed: there is a difference.
        Err(failure) if failure.is_broken_pipe() => return Ok(Exit::No),
        shown => shown?,
    }
    let text = match plan.changes.is_empty() {
        true => format!("no difference: the users and roles are those of {name}"),
        false => format!("different: {} would make the users and roles those of {name}", counts(&plan)),
    };
    summarize(ctx, &plan, None, &text);
    Ok(if plan.changes.is_empty() { Exit::Done } else { Exit::No })
}

fn show(ctx: &Context, plan: &AccessPlan) -> Result<(), Failure> {
    plan.changes.iter().try_for_each(|planned| show_change(ctx, planned, "would-apply"))
}

fn show_change(ctx: &Context, planned: &PlannedChange, outcome: &'static str) -> Result<(), Failure> {
    match ctx.out.is_data() {
        true => ctx.out.one(&row(&planned.change, outcome))?,
        false => ctx.out.access_change_line(sign(planned), &sentence(planned))?,
    }
    Ok(ctx.out.flush()?)
}

fn sign(planned: &PlannedChange) -> char {
    match planned.effect {
        AccessEffect::Adds => '+',
        AccessEffect::Replaces => '~',
        AccessEffect::Removes => '-',
    }
}

fn sentence(planned: &PlannedChange) -> String {
    match (&planned.change, planned.replaced) {
        // Where the password comes from is no part of the plan.
        (AuthChange::AddUser { name, .. }, _) => format!("add user {}", shown(name)),
        (change, Some(former)) => format!("{change}, instead of {former}"),
        (change, None) => change.to_string(),
    }
}

fn counts(plan: &AccessPlan) -> String {
    let parts = [
        (plan.count(AccessEffect::Adds), "addition"),
        (plan.count(AccessEffect::Replaces), "replacement"),
        (plan.count(AccessEffect::Removes), "removal"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let words: Vec<String> = parts.map(|(number, noun)| counted(number, noun)).collect();
    words.join(", ")
}

fn summarize(ctx: &Context, plan: &AccessPlan, made: Option<usize>, text: &str) {
    let summary = AccessSummary {
        additions: plan.count(AccessEffect::Adds),
        replacements: plan.count(AccessEffect::Replaces),
        removals: plan.count(AccessEffect::Removes),
        made,
    };
    ctx.out.summary(&summary, text);
}

/// Makes the users and roles those of the file.
///
/// # Errors
/// A file that is not valid, a refused question, a change of another client, or an error of etcd or the connection.
pub async fn apply(ctx: &Context, args: &ApplyArgs) -> Result<Exit, Failure> {
    let mut passwords = match &args.passwords_file {
        Some(path) => read_passwords(ctx, path).await?,
        None => Passwords::new(),
    };
    let Planned { mut plan, observed, name, wanted } = make_plan(ctx, &args.file).await?;
    let mut unknown: Vec<String> = passwords.keys().filter(|user| !wanted.users.contains_key(*user)).cloned().collect();
    unknown.sort();
    if !unknown.is_empty() {
        ctx.out.warn(&format!("the file of passwords has users that {name} does not name: {}", listed_names(&unknown)));
    }
    if plan.changes.is_empty() {
        summarize(ctx, &plan, Some(0), &format!("nothing to do: the users and roles are those of {name}"));
        return Ok(Exit::Done);
    }
    let changes: Vec<AuthChange> = plan.changes.iter().map(|planned| planned.change.clone()).collect();
    refuse_lockout(ctx, &changes).await?;
    let missing: Vec<String> =
        plan.new_users().filter(|user| !passwords.contains_key(*user)).map(str::to_owned).collect();
    let asks_passwords = !missing.is_empty() && !args.no_password;
    if ctx.safety.dry_run {
        show(ctx, &plan)?;
        if asks_passwords {
            ctx.out.note(&format!("new users need a password, or --no-password: {}", listed_names(&missing)));
        }
        summarize(ctx, &plan, None, &format!("dry run: would make {}", counts(&plan)));
        return Ok(Exit::Done);
    }
    if asks_passwords && !ctx.will_ask() {
        return Err(without_passwords(&missing));
    }
    let lines = plan.changes.iter().map(|planned| format!("{} {}", sign(planned), sentence(planned)));
    ctx.show_candidates(lines, plan.changes.len() as u64);
    let question = format!("Change the users and roles {}: {}", cluster_words(ctx), counts(&plan));
    let consent = ctx.consent(&question)?;
    if asks_passwords {
        for user in missing {
            let password = ask_twice(ctx, &format!("Password of the new user {}", shown(&user)))?;
            passwords.insert(user, password);
        }
    }
    for planned in &mut plan.changes {
        if let AuthChange::AddUser { name, password } = &mut planned.change {
            *password = passwords.remove(name);
        }
    }
    drop(passwords);
    let mut applier = AccessApplier::new(ctx.store(), &consent, observed);
    for (made, planned) in plan.changes.iter().enumerate() {
        let made = match make(ctx, &mut applier, planned).await {
            Ok(outcome) => show_change(ctx, planned, outcome).map_err(|failure| (made + 1, failure)),
            Err(failure) => Err((made, failure)),
        };
        made.map_err(|(made, failure)| incomplete(ctx, &plan, made, failure))?;
    }
    let made = plan.changes.len();
    summarize(ctx, &plan, Some(made), &format!("done: {}; the users and roles are those of {name}", counts(&plan)));
    Ok(Exit::Done)
}

/// Makes one change, and returns its outcome in JSON.
async fn make(
    ctx: &Context,
    applier: &mut AccessApplier<'_>,
    planned: &PlannedChange,
) -> Result<&'static str, Failure> {
    if ctx.signals.cancel().is_cancelled() {
        return Err(Failure::new(Exit::Interrupted, "interrupted"));
    }
    match applier.execute(planned).await {
        Ok(ChangeOutcome::Applied) => Ok("applied"),
        Ok(ChangeOutcome::FoundApplied) => {
            let sentence = sentence(planned);
            ctx.out.note(&format!("the answer to '{sentence}' was lost; etcd is in the state that was asked for"));
            Ok("found-applied")
        }
        Err(AccessApplyError::Store(error)) => Err(explain(ctx, ctx.store(), &planned.change, error).await),
        Err(changed @ AccessApplyError::ChangedMeanwhile(_)) => {
            let failure = Failure::new(Exit::Partial, changed.to_string());
            Err(failure.context(format!("did not {}", sentence(planned))))
        }
    }
}

fn without_passwords(missing: &[String]) -> Failure {
    let users = counted(missing.len(), "new user");
    Failure::conflict(format!("{users} without a password: {}; nothing was changed", listed_names(missing)))
        .hint("give the passwords with --passwords-file FILE (NAME: PASSWORD, readable by you only)")
        .hint("or add --no-password: such users log in with client certificates, or get a password later")
}

/// Says what was done before the failure.
fn incomplete(ctx: &Context, plan: &AccessPlan, made: usize, failure: Failure) -> Failure {
    let total = plan.changes.len();
    summarize(ctx, plan, Some(made), &format!("{made} of {} made", counted(total, "change")));
    let mut failure = failure.hint(match made {
        0 => "run the same command again to make the changes",
        _ => "run the same command again to continue: what is made is not made again",
    });
    if made > 0 && matches!(failure.exit, Exit::Refused | Exit::Unreachable) && !failure.is_other_store() {
        failure.exit = Exit::Partial;
    }
    failure
}
