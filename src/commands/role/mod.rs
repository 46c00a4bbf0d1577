//! `kvadm role`: the roles of etcd's authentication and their permissions.

mod change;
mod show;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{hidden_safety_options, safety_options};
use crate::commands::permission_range::PermissionRange;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Show, add, change and delete roles and their permissions
///
/// A role allows reading or writing ranges of keys to the users that have the role (see
/// 'kvadm user grant'). Permissions name keys of the whole store: --namespace does not
/// apply, and must be empty for 'role grant' and 'role revoke'. The role root allows
/// everything, whatever its permissions are.
///
/// With authentication enabled, the role root is needed, except for 'role show' of the
/// roles of the user of this command. Commands that change something are sent once; if
/// the answer of etcd is lost, kvadm looks whether the change is in effect, and exits 7
/// if that cannot be told.
#[derive(ClapArgs, Debug)]
#[command(verbatim_doc_comment, after_help = "\
Examples:
  kvadm role list
  kvadm role add reader
  kvadm role grant reader read --prefix /app/
  kvadm role show reader", args = hidden_safety_options(), disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    action: RoleCommand,
}

#[derive(Debug, Subcommand)]
enum RoleCommand {
    /// List the names of all roles
    #[command(after_help = "Examples:\n  kvadm role list\n  kvadm role list -o json")]
    List,
    /// Show the permissions of a role
    ///
    /// Exits 1 if the role does not exist.
    #[command(alias = "get", after_help = "Examples:\n  kvadm role show reader\n  kvadm role show reader -o json")]
    Show {
        /// Role to show
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Add a role without permissions
    #[command(
        after_help = "Examples:\n  kvadm role add reader --dry-run\n  kvadm role add reader",
        args = safety_options()
    )]
    Add {
        /// Name of the new role
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Delete a role, which revokes it from all users
    ///
    /// kvadm names the users that have the role and asks for confirmation; without a
    /// terminal, --yes is required. Exits 1 if the role does not exist. While
    /// authentication is enabled, the role root is not deleted (exit code 5).
    #[command(
        verbatim_doc_comment,
        after_help = "Examples:\n  kvadm role delete reader --dry-run\n  kvadm role delete reader --yes",
        args = safety_options()
    )]
    Delete {
        /// Role to delete
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Grant a permission to a role
    ///
    /// If the role has a permission for exactly these keys, the new one replaces it.
    /// Permissions for other keys stay, also if they overlap. Exits 1 if the role does not
    /// exist.
    #[command(
        alias = "grant-permission",
        verbatim_doc_comment,
        after_help = "\
Examples:
  kvadm role grant reader read --prefix /app/
  kvadm role grant writer readwrite /app/mode
  kvadm role grant backup read --all",
        args = safety_options()
    )]
    Grant {
        /// Role that gets the permission
        #[arg(value_name = "NAME")]
        name: String,
        /// What the role allows
        #[arg(value_name = "ACCESS", value_parser = ["read", "write", "readwrite"])]
        access: String,
        #[command(flatten)]
        range: PermissionRange,
    },
    /// Revoke a permission from a role
    ///
    /// The keys must be those of the permission, as 'kvadm role show' prints them: etcd
    /// revokes no part of a permission. kvadm asks for confirmation; without a terminal,
    /// --yes is required. Exits 1 if the role does not exist or lacks the permission.
    #[command(
        alias = "revoke-permission",
        verbatim_doc_comment,
        after_help = "\
Examples:
  kvadm role revoke reader --prefix /app/ --dry-run
  kvadm role revoke writer /app/mode --yes",
        args = safety_options()
    )]
    Revoke {
        /// Role that loses the permission
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        range: PermissionRange,
    },
}

/// Runs the verb.
///
/// # Errors
/// A refusal that protects the caller, a declined confirmation, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        RoleCommand::List => show::list(ctx).await,
        RoleCommand::Show { name } => show::run(ctx, name).await,
        RoleCommand::Add { name } => change::add(ctx, name).await,
        RoleCommand::Delete { name } => change::delete(ctx, name).await,
        RoleCommand::Grant { name, access, range } => change::grant(ctx, name, access, range).await,
        RoleCommand::Revoke { name, range } => change::revoke(ctx, name, range).await,
    }
}
