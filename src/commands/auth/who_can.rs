//! `kvadm auth who-can`: the users that may read or write keys.

use crate::access::words::{format_permission, format_range};
use crate::access::{RolePermission, read_access, who_can};
use crate::commands::permission_range::PermissionRange;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Access;
use crate::output::{PermissionRow, WhoCanAnswer, WhoCanRow};
use crate::plural::counted;

/// List the users that may read or write keys
///
/// Prints each user that may access all of the keys, what it may do, and the roles and
/// permissions that allow it, a line each. As in etcd, the permissions of all roles of a
/// user count together, and a user with the role root may do everything.
///
/// Keys are those of the whole store, without a namespace.
///
/// Exit codes:
///   0  somebody may, or authentication is off
///   1  nobody may
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm auth who-can /app/mode
  kvadm auth who-can --prefix /app/ --access write"
)]
pub struct WhoCanArgs {
    #[command(flatten)]
    range: PermissionRange,
    /// List only users that may do this
    #[arg(long, value_name = "ACCESS")]
    access: Option<AskedAccess>,
}

/// What users must be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum AskedAccess {
    /// Read
    Read,
    /// Write
    Write,
    /// Read and write
    Readwrite,
}

/// Runs the verb.
///
/// # Errors
/// An empty range, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &WhoCanArgs) -> Result<Exit, Failure> {
    let range = args.range.range(ctx)?;
    let (asked, what) = match args.access {
        None => (None, "read or write"),
        Some(AskedAccess::Read) => (Some(Access::Read), "read"),
        Some(AskedAccess::Write) => (Some(Access::Write), "write"),
        Some(AskedAccess::Readwrite) => (Some(Access::ReadWrite), "read and write"),
    };
    let observed = read_access(ctx.store()).await;
    let observed = observed.map_err(|error| Failure::from(error).context("cannot read the users and roles"))?;
    let mut sink = ctx.out.stream();
    if observed.status.enabled == Some(false) {
        if ctx.out.is_data() {
            sink.push(&WhoCanAnswer { user: None, access: Access::ReadWrite.word(), permissions: None })?;
        }
        sink.finish()?;
        ctx.out.note("authentication is off: everyone may read and write everything, without a login");
        return Ok(Exit::Done);
    }
    let found = who_can(&observed.state, &range, asked);
    for user in &found {
        let (name, access) = (user.user.as_str(), user.access.word());
        if ctx.out.is_data() {
            let permissions = user.through.iter().map(permission_row).collect();
            sink.push(&WhoCanAnswer { user: Some(name), access, permissions: Some(permissions) })?;
            continue;
        }
        for RolePermission { role, permission } in &user.through {
            let permission = format_permission(permission);
            sink.push(&WhoCanRow { user: name, access, role, permission: &permission })?;
        }
    }
    sink.finish()?;
    if observed.status.enabled.is_none() {
        ctx.out.note("this server does not tell whether authentication is on; if it is off, everyone may");
    }
    let who = match found.len() {
        0 => "no user".to_owned(),
        number => counted(number, "user"),
    };
    ctx.out.note(&format!("{who} may {what} {}", format_range(&range)));
    Ok(if found.is_empty() { Exit::No } else { Exit::Done })
}

fn permission_row(of: &RolePermission) -> PermissionRow<'_> {
    PermissionRow { role: Some(&of.role), permission: &of.permission }
}
