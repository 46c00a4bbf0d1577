//! `kvadm config`: the effective configuration, and the contexts.

mod default_context;
mod list;
mod new_context;
mod test;

use clap::Subcommand;

use crate::args::{hidden_safety_options, safety_options};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::SettingRow;

/// Show the configuration; list, create, use and test contexts
///
/// Without a command it shows each effective setting and its source; secrets are
/// redacted.
/// No connection is made, and SRV records are not looked up. Sources, strongest
/// first: flags, the file of -c or --context, KVADM_* variables, a file that was
/// found otherwise, ETCD_ENDPOINTS and ETCDV3_ENDPOINTS, ETCDCTL_* variables,
/// defaults. OVERRIDDEN shows the values of weaker sources.
///
/// A context is a file NAME.yaml in the configuration folder.
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm config
  kvadm -c etcd.conf config -o json
  KVADM_ENDPOINTS=other:2379 kvadm config -v
  kvadm config init prod --endpoints https://etcd-0:2379 --ca-file ca.pem
  kvadm config use prod",
    args = hidden_safety_options(),
    disable_help_subcommand = true
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<ConfigCommand>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// List the contexts, and which configuration file is in use
    ///
    /// Each row is what the file itself says. A file that cannot be used is listed with its error.
    #[command(after_help = "Examples:\n  kvadm config list\n  kvadm config list -o json")]
    List,
    /// Create a context from the options of the command line
    ///
    /// Writes NAME.yaml with the mode 0600 into the configuration folder, and never overwrites a file. kvadm connects and reads
    /// first; if that fails, nothing is written. On a terminal it asks for what is missing. A password or a token of
    /// --from-env goes to a file of its own, never into NAME.yaml.
    #[command(
        after_help = "Examples:\n  kvadm config init prod --endpoints https://etcd-0:2379 --ca-file ca.pem\n  \
                      kvadm config init prod --from-env\n  kvadm config init lab --discovery-srv example.com --no-test",
        args = safety_options()
    )]
    Init(new_context::NewContextArgs),
    /// Make a context the default, or no context
    ///
    /// The default context comes before etcd.yaml in the configuration folder and /etc/kvadm/etcd.yaml. -c, --context,
    /// ETCD_CONFIG and KVADM_CONTEXT override it. Its name is in the file current-context.
    #[command(
        after_help = "Examples:\n  kvadm config use prod\n  kvadm config use --none",
        args = safety_options()
    )]
    Use(default_context::DefaultContextArgs),
    /// Check the files, the connection, the login and a read, step by step
    ///
    /// Checks what commands with the same options would use: with NAME, as with --context NAME.
    #[command(
        after_help = "Examples:\n  kvadm config test\n  kvadm config test prod\n  kvadm config test prod -o json"
    )]
    Test {
        /// Context to test [default: the effective configuration]
        #[arg(value_name = "CONTEXT")]
        name: Option<String>,
    },
}

/// How the configuration is loaded for the verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigScope<'a> {
    /// As for every verb.
    Effective,
    /// As with `--context`.
    Context(&'a str),
    /// The options alone: no file, and no variable.
    Options,
    /// The options and the variables, but no file.
    WithoutFile,
}

impl Args {
    /// How the configuration is loaded. A wrong file must not keep the contexts from being listed, created and chosen.
    pub fn scope(&self) -> ConfigScope<'_> {
        match &self.action {
            None | Some(ConfigCommand::Test { name: None }) => ConfigScope::Effective,
            Some(ConfigCommand::Test { name: Some(name) }) => ConfigScope::Context(name),
            Some(ConfigCommand::Init(args)) if args.from_env => ConfigScope::WithoutFile,
            Some(_) => ConfigScope::Options,
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// The output cannot be written; for the contexts, a file cannot be read or written, or the connection fails.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        None => show(ctx),
        Some(ConfigCommand::List) => list::run(ctx),
        Some(ConfigCommand::Init(args)) => new_context::run(ctx, args).await,
        Some(ConfigCommand::Use(args)) => default_context::run(ctx, args),
        Some(ConfigCommand::Test { name }) => test::run(ctx, name.as_deref()).await,
    }
}

fn show(ctx: &Context) -> Result<Exit, Failure> {
    let mut sink = ctx.out.stream();
    for setting in &ctx.config.settings {
        let source = setting.source.to_string();
        let overridden: Vec<String> =
            setting.overridden.iter().map(|loser| format!("{} ({})", loser.value, loser.source)).collect();
        let (key, value) = (setting.key, setting.value.as_deref());
        sink.push(&SettingRow { key, value, source: &source, overridden: &overridden })?;
    }
    sink.finish()?;
    Ok(Exit::Done)
}
