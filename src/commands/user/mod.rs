//! `kvadm user`: the users of etcd's authentication, their passwords and their roles.

mod change;
mod show;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{hidden_safety_options, safety_options};
use crate::commands::new_password::NewPassword;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Show, add, change and delete users
///
/// Users matter once authentication is enabled ('kvadm auth enable'). What a user may do
/// follows from its roles: see 'kvadm role'. The role root allows everything.
///
/// With authentication enabled, the role root is needed, except for 'user show' of the
/// user of this command. Commands that change something are sent once; if the answer of
/// etcd is lost, kvadm looks whether the change is in effect, and exits 7 if that cannot
/// be told.
#[derive(ClapArgs, Debug)]
#[command(verbatim_doc_comment, after_help = "\
Examples:
  kvadm user list
  kvadm user add alice
  kvadm user grant alice reader
  kvadm user show alice --detail", args = hidden_safety_options(), disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    action: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// List the names of all users
    #[command(after_help = "Examples:\n  kvadm user list\n  kvadm user list -o json")]
    List,
    /// Show the roles of a user, or what they allow
    ///
    /// Exits 1 if the user does not exist.
    #[command(alias = "get", after_help = "Examples:\n  kvadm user show alice\n  kvadm user show alice --detail")]
    Show {
        /// User to show
        #[arg(value_name = "NAME")]
        name: String,
        /// Show the permissions of each of its roles
        #[arg(long)]
        detail: bool,
    },
    /// Add a user without roles
    ///
    /// The password is asked for on the terminal, twice and without showing it, or read
    /// from --new-password-file. It has 1 to 72 bytes, because etcd hashes it with bcrypt.
    #[command(
        verbatim_doc_comment,
        after_help = "\
Examples:
  kvadm user add alice
  kvadm user add alice --new-password-file alice.pw
  pass show etcd/alice | kvadm user add alice --new-password-file -
  kvadm user add host1 --no-password",
        args = safety_options()
    )]
    Add {
        /// Name of the new user
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        password: NewPassword,
        /// Add a user without a password, for the common name of a client certificate
        #[arg(long, conflicts_with = "new_password_file")]
        no_password: bool,
    },
    /// Delete a user, but none of its roles
    ///
    /// kvadm names the roles of the user and asks for confirmation; without a terminal,
    /// --yes is required. Exits 1 if the user does not exist. While authentication is
    /// enabled, root and the user of this command are not deleted (exit code 5).
    #[command(
        verbatim_doc_comment,
        after_help = "Examples:\n  kvadm user delete alice --dry-run\n  kvadm user delete alice --yes",
        args = safety_options()
    )]
    Delete {
        /// User to delete
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Set the password of a user
    ///
    /// The password is asked for on the terminal, twice and without showing it, or read
    /// from --new-password-file. It has 1 to 72 bytes, because etcd hashes it with bcrypt.
    /// Exits 1 if the user does not exist.
    #[command(
        alias = "passwd",
        verbatim_doc_comment,
        after_help = "Examples:\n  kvadm user password alice\n  kvadm user password alice --new-password-file alice.pw",
        args = safety_options()
    )]
    Password {
        /// User whose password is set
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        password: NewPassword,
    },
    /// Grant roles to a user
    ///
    /// Roles that the user has already are left. Exits 1 if the user or a role does not exist.
    #[command(
        alias = "grant-role",
        after_help = "Examples:\n  kvadm user grant alice reader\n  kvadm user grant alice reader writer --dry-run",
        args = safety_options()
    )]
    Grant {
        /// User that gets the roles
        #[arg(value_name = "NAME")]
        name: String,
        /// The roles
        #[arg(value_name = "ROLE", required = true)]
        roles: Vec<String>,
    },
    /// Revoke roles from a user
    ///
    /// kvadm asks for confirmation; without a terminal, --yes is required. Exits 1 if the
    /// user does not exist or lacks one of the roles; nothing is revoked then. While
    /// authentication is enabled, the role root is not revoked from root and from the
    /// user of this command (exit code 5).
    #[command(
        alias = "revoke-role",
        verbatim_doc_comment,
        after_help = "Examples:\n  kvadm user revoke alice writer --dry-run\n  kvadm user revoke alice writer --yes",
        args = safety_options()
    )]
    Revoke {
        /// User that loses the roles
        #[arg(value_name = "NAME")]
        name: String,
        /// The roles
        #[arg(value_name = "ROLE", required = true)]
        roles: Vec<String>,
    },
}

/// Runs the verb.
///
/// # Errors
/// A refusal that protects the caller, a declined confirmation, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        UserCommand::List => show::list(ctx).await,
        UserCommand::Show { name, detail } => show::run(ctx, name, *detail).await,
        UserCommand::Add { name, password, no_password } => {
            change::add(ctx, name, (!no_password).then_some(password)).await
        }
        UserCommand::Delete { name } => change::delete(ctx, name).await,
        UserCommand::Password { name, password } => change::set_password(ctx, name, password).await,
        UserCommand::Grant { name, roles } => change::grant(ctx, name, roles).await,
        UserCommand::Revoke { name, roles } => change::revoke(ctx, name, roles).await,
    }
}
