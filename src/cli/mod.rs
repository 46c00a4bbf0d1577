//! The grammar of the command line. Parsing only: nothing here does I/O.

pub mod complete;
mod global;
pub mod usage;
mod value;

use clap::{Parser, Subcommand};

use crate::commands::{
    allocate, compact, completions, config, delete, gc, get, lease, list, lock, put, status, txn, watch,
};

pub use global::Global;
pub use value::{
    KeyText, bytes_of, parse_duration, parse_lease, parse_lock_token, parse_qps, parse_revision, parse_ttl,
};

/// Administer etcd and the coordination state that clusters keep in it.
#[derive(Debug, Parser)]
#[command(
    name = "kvadm",
    version,
    about,
    long_about = None,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_long_help = AFTER
)]
pub struct Cli {
    /// The options that every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
Examples:
  kvadm put /app/mode blue --create
  kvadm list /app/ -o json | kvadm --context other put --from -
  kvadm status --wait 30s

See kvadm(1) for the configuration file, the JSON contract and the exit codes.";

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(name = "get")]
    #[allow(missing_docs)]
    Get(get::Args),
    #[command(name = "put")]
    #[allow(missing_docs)]
    Put(put::Args),
    #[command(name = "delete")]
    #[allow(missing_docs)]
    Delete(delete::Args),
    #[command(name = "list")]
    #[allow(missing_docs)]
    List(list::Args),
    #[command(name = "watch")]
    #[allow(missing_docs)]
    Watch(watch::Args),
    #[command(name = "lock")]
    #[allow(missing_docs)]
    Lock(lock::Args),
    #[command(name = "lease")]
    #[allow(missing_docs)]
    Lease(lease::Args),
    #[command(name = "allocate")]
    #[allow(missing_docs)]
    Allocate(allocate::Args),
    #[command(name = "gc")]
    #[allow(missing_docs)]
    Gc(gc::Args),
    #[command(name = "compact")]
    #[allow(missing_docs)]
    Compact(compact::Args),
    #[command(name = "txn")]
    #[allow(missing_docs)]
    Txn(txn::Args),
    #[command(name = "status")]
    #[allow(missing_docs)]
    Status(status::Args),
    #[command(name = "config")]
    #[allow(missing_docs)]
    Config(config::Args),
    #[command(name = "completions")]
    #[allow(missing_docs)]
    Completions(completions::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        super::Cli::command().debug_assert();
    }
}
