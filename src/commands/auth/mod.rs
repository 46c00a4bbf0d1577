//! `kvadm auth`: whether etcd asks for logins, and switching authentication on and off.

mod enable;
mod file;
mod passwords;
mod status;
mod who_can;

use clap::{Args as ClapArgs, Subcommand};

use crate::access::AuthChange;
use crate::args::{hidden_safety_options, safety_options};
use crate::commands::auth_change::{carry_out, cluster_words, print_dry_run, print_unchanged};
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Show, enable and disable etcd's authentication; compare users and roles with a file
///
/// With authentication, etcd answers only users that log in with a password or are
/// recognized by the common name of their client certificate, and allows what their
/// roles allow: see 'kvadm user' and 'kvadm role'. The role root allows everything.
#[derive(ClapArgs, Debug)]
#[command(verbatim_doc_comment, after_help = "\
Examples:
  kvadm auth status
  kvadm auth enable --user root --password-file root.pw
  kvadm auth disable --dry-run", args = hidden_safety_options(), disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    action: AuthCommand,
}

#[derive(Debug, Subcommand)]
enum AuthCommand {
    /// Show whether authentication is enabled, and who this command is
    ///
    /// Prints whether authentication is enabled; how often users and roles were changed
    /// (etcd 3.5 and later); the user of this command, and whether it is recognized by a
    /// password, a client certificate or a token, whose user etcd does not tell; whether
    /// this user has the role root; and whether the user root exists and has the role
    /// root, without which authentication cannot be enabled. What etcd does not tell to
    /// this user is left out.
    #[command(verbatim_doc_comment, after_help = "Examples:\n  kvadm auth status\n  kvadm auth status -o json")]
    Status,
    Enable(enable::Args),
    /// Disable authentication: everyone can then read and write everything
    ///
    /// Users, roles and passwords stay in etcd. kvadm asks for confirmation; without a
    /// terminal, --yes is required. If the answer of etcd is lost, kvadm asks etcd
    /// whether authentication is disabled, and never sends the request twice.
    #[command(
        verbatim_doc_comment,
        after_help = "Examples:\n  kvadm auth disable --dry-run\n  kvadm auth disable --user root --password-file root.pw --yes",
        args = safety_options()
    )]
    Disable,
    Diff(file::DiffArgs),
    Apply(file::ApplyArgs),
    Export(file::ExportArgs),
    WhoCan(who_can::WhoCanArgs),
}

impl Args {
    /// Whether the verb needs neither the configuration nor etcd.
    pub fn prints_schema(&self) -> bool {
        matches!(&self.action, AuthCommand::Export(file::ExportArgs { schema: true }))
    }
}

pub use file::print_schema;

/// Runs the verb.
///
/// # Errors
/// A refusal that protects the caller, a declined confirmation, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        AuthCommand::Status => status::run(ctx).await,
        AuthCommand::Enable(args) => enable::run(ctx, args).await,
        AuthCommand::Disable => disable(ctx).await,
        AuthCommand::Diff(args) => file::diff(ctx, args).await,
        AuthCommand::Apply(args) => file::apply(ctx, args).await,
        AuthCommand::Export(args) => file::export(ctx, args).await,
        AuthCommand::WhoCan(args) => who_can::run(ctx, args).await,
    }
}

async fn disable(ctx: &Context) -> Result<Exit, Failure> {
    let changes = [AuthChange::Disable];
    if ctx.store().auth_status().await?.enabled == Some(false) {
        return print_unchanged(ctx, &changes, "authentication is already disabled");
    }
    let effect = "everyone who can reach etcd can then read and write everything";
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: {effect}"));
        return print_dry_run(ctx, &changes);
    }
    let consent = ctx.consent(&format!("Disable authentication {}: {effect}. Disable it", cluster_words(ctx)))?;
    carry_out(ctx, ctx.store(), &consent, &changes).await
}
