//! The verbs and their arguments. By hand what clap's derive would write, but that verbs can be left out of a grammar.

use clap::error::ErrorKind;
use clap::{ArgMatches, Args as _, FromArgMatches, Subcommand};

use crate::commands::{
    allocate, compact, completions, config, delete, gc, get, lease, list, lock, put, status, txn, watch,
};
use crate::context::Context;
use crate::error::{Exit, Failure};

macro_rules! verbs {
    ($($name:literal $verb:ident $module:ident;)*) => {
        /// A verb with its arguments.
        #[derive(Debug)]
        #[allow(missing_docs)]
        pub enum Command {
            $($verb($module::Args),)*
        }

        impl Command {
            /// Runs the verb.
            ///
            /// # Errors
            /// Whatever kept the verb from doing what was asked, with its class and what to do next.
            pub async fn run(self, ctx: &Context) -> Result<Exit, Failure> {
                match self {
                    $(Self::$verb(args) => $module::run(ctx, &args).await,)*
                }
            }

            /// The grammar with those verbs that are wanted, by name.
            pub(super) fn augment(mut grammar: clap::Command, wanted: impl Fn(&str) -> bool) -> clap::Command {
                $(if wanted($name) {
                    grammar = grammar.subcommand($module::Args::augment_args(clap::Command::new($name)));
                })*
                grammar
            }
        }

        impl FromArgMatches for Command {
            fn from_arg_matches(matches: &ArgMatches) -> clap::error::Result<Self> {
                Self::from_arg_matches_mut(&mut matches.clone())
            }

            fn from_arg_matches_mut(matches: &mut ArgMatches) -> clap::error::Result<Self> {
                let Some((name, mut matches)) = matches.remove_subcommand() else {
                    return Err(clap::Error::raw(ErrorKind::MissingSubcommand, "a verb is missing"));
                };
                match name.as_str() {
                    $($name => $module::Args::from_arg_matches_mut(&mut matches).map(Self::$verb),)*
                    _ => Err(clap::Error::raw(ErrorKind::InvalidSubcommand, format!("'{name}' is no verb"))),
                }
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> clap::error::Result<()> {
                Self::from_arg_matches(matches).map(|command| *self = command)
            }
        }

        impl Subcommand for Command {
            /// None: whoever parses says which, with [`Command::augment`].
            fn augment_subcommands(grammar: clap::Command) -> clap::Command {
                grammar
            }

            fn augment_subcommands_for_update(grammar: clap::Command) -> clap::Command {
                grammar
            }

            fn has_subcommand(name: &str) -> bool {
                [$($name),*].contains(&name)
            }
        }
    };
}

verbs! {
    "get" Get get;
    "put" Put put;
    "delete" Delete delete;
    "list" List list;
    "watch" Watch watch;
    "lock" Lock lock;
    "lease" Lease lease;
    "allocate" Allocate allocate;
    "gc" Gc gc;
    "compact" Compact compact;
    "txn" Txn txn;
    "status" Status status;
    "config" Config config;
    "completions" Completions completions;
}
