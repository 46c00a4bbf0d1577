//! The verbs and their arguments.

use clap::{Args as _, Subcommand};

use super::complete::registration::registration;
use crate::commands::{
    allocate, auth, check, compact, completions, config, delete, diff, downgrade, edit, gc, get, lease, list, lock,
    member, mirror, put, restore, role, snapshot, status, top, txn, user, version, watch,
};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::Out;

/// A verb with its arguments.
///
/// `defer` builds a verb's options only when the command line names the verb: building those of all verbs takes longer
/// than anything else before the first request. Choosing the verbs by hand instead starts 0.11 ms earlier (1.98 and
/// 2.09 ms for 'kvadm config', the fastest of 300 runs each, interleaved), which is not worth a macro.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[allow(missing_docs)]
pub enum Command {
    Get(get::Args),
    Put(put::Args),
    Edit(edit::Args),
    Delete(delete::Args),
    List(list::Args),
    Watch(watch::Args),
    Diff(diff::Args),
    Restore(restore::Args),
    Mirror(mirror::Args),
    Txn(txn::Args),
    Lock(lock::Args),
    Lease(lease::Args),
    Allocate(allocate::Args),
    Gc(gc::Args),
    Status(status::Args),
    Member(member::Args),
    Top(top::Args),
    Check(check::Args),
    Compact(compact::Args),
    Snapshot(snapshot::Args),
    Auth(auth::Args),
    User(user::Args),
    Role(role::Args),
    Downgrade(downgrade::Args),
    Config(config::Args),
    Completions(completions::Args),
    Version(version::Args),
}

/// Adds a verb's own options to its grammar.
type Augment = fn(clap::Command) -> clap::Command;

/// The options of each verb, for help. clap adds the global options to a deferred verb before the verb's own ones, so that
/// help would begin with the connection.
pub const OPTIONS: [(&str, Augment); 27] = [
    ("get", get::Args::augment_args),
    ("put", put::Args::augment_args),
    ("edit", edit::Args::augment_args),
    ("delete", delete::Args::augment_args),
    ("list", list::Args::augment_args),
    ("watch", watch::Args::augment_args),
    ("diff", diff::Args::augment_args),
    ("restore", restore::Args::augment_args),
    ("mirror", mirror::Args::augment_args),
    ("txn", txn::Args::augment_args),
    ("lock", lock::Args::augment_args),
    ("lease", lease::Args::augment_args),
    ("allocate", allocate::Args::augment_args),
    ("gc", gc::Args::augment_args),
    ("status", status::Args::augment_args),
    ("member", member::Args::augment_args),
    ("top", top::Args::augment_args),
    ("check", check::Args::augment_args),
    ("compact", compact::Args::augment_args),
    ("snapshot", snapshot::Args::augment_args),
    ("auth", auth::Args::augment_args),
    ("user", user::Args::augment_args),
    ("role", role::Args::augment_args),
    ("downgrade", downgrade::Args::augment_args),
    ("config", config::Args::augment_args),
    ("completions", completions::Args::augment_args),
    ("version", version::Args::augment_args),
];

/// The verbs as `kvadm --help` lists them, by heading.
pub const GROUPS: [(&str, &[&str]); 6] = [
    ("Data", &["get", "put", "edit", "delete", "list", "watch", "txn"]),
    ("Comparing and copying", &["diff", "restore", "mirror"]),
    ("Coordination", &["lock", "lease", "allocate", "gc"]),
    ("Maintenance", &["status", "member", "top", "check", "compact", "snapshot", "downgrade"]),
    ("Users and roles", &["auth", "user", "role"]),
    ("Setup", &["config", "completions", "help", "version"]),
];

impl Command {
    /// Runs a verb that needs neither the configuration nor etcd; `None` for the other verbs.
    pub fn run_alone(&self, out: &Out) -> Option<Result<Exit, Failure>> {
        match self {
            Self::Completions(args) => Some(completions::run(out, &registration(args.shell))),
            Self::Version(args) => Some(version::run(out, args)),
            Self::Check(args) if args.prints_schema() => Some(check::print_schema(out)),
            Self::Auth(args) if args.prints_schema() => Some(auth::print_schema(out)),
            _ => None,
        }
    }

    /// How the configuration is loaded for the verb.
    pub fn config_scope(&self) -> config::ConfigScope<'_> {
        match self {
            Self::Config(args) => args.scope(),
            _ => config::ConfigScope::Effective,
        }
    }

    /// Runs the verb.
    ///
    /// # Errors
    /// The failure of the verb, with its class and hints.
    pub async fn run(self, ctx: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Get(args) => get::run(ctx, &args).await,
            Self::Put(args) => put::run(ctx, &args).await,
            Self::Edit(args) => edit::run(ctx, &args).await,
            Self::Delete(args) => delete::run(ctx, &args).await,
            Self::List(args) => list::run(ctx, &args).await,
            Self::Watch(args) => watch::run(ctx, &args).await,
            Self::Diff(args) => diff::run(ctx, &args).await,
            Self::Restore(args) => restore::run(ctx, &args).await,
            Self::Mirror(args) => mirror::run(ctx, &args).await,
            Self::Txn(args) => txn::run(ctx, &args).await,
            Self::Lock(args) => lock::run(ctx, &args).await,
            Self::Lease(args) => lease::run(ctx, &args).await,
            Self::Allocate(args) => allocate::run(ctx, &args).await,
            Self::Gc(args) => gc::run(ctx, &args).await,
            Self::Status(args) => status::run(ctx, &args).await,
            Self::Member(args) => member::run(ctx, &args).await,
            Self::Top(args) => top::run(ctx, &args).await,
            Self::Check(args) => check::run(ctx, &args).await,
            Self::Compact(args) => compact::run(ctx, &args).await,
            Self::Snapshot(args) => snapshot::run(ctx, &args).await,
            Self::Auth(args) => auth::run(ctx, &args).await,
            Self::User(args) => user::run(ctx, &args).await,
            Self::Role(args) => role::run(ctx, &args).await,
            Self::Downgrade(args) => downgrade::run(ctx, &args).await,
            Self::Config(args) => config::run(ctx, &args).await,
            Self::Completions(args) => completions::run(&ctx.out, &registration(args.shell)),
            Self::Version(args) => version::run(&ctx.out, &args),
        }
    }
}
