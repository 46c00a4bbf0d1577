//! Further stores that a verb reads, as Cilium's `WatchRemoteKVStore` adds remote caches.

use clap::Args;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Store;

/// Further stores to read.
#[derive(Args, Clone, Debug, Default)]
pub struct RemoteStores {
    /// Also read this context's store, after the command's own; repeatable, in order
    ///
    /// Only the configuration file determines how it is reached.
    #[arg(long = "remote", value_name = "CONTEXT", help_heading = "Allocator")]
    names: Vec<String>,
}

/// A store to read.
pub struct RemoteStore {
    /// The context's name; `None` for the command's own store.
    pub name: Option<String>,
    /// The store.
    pub store: Store,
}

impl RemoteStores {
    /// Whether further stores were given.
    pub fn any(&self) -> bool {
        !self.names.is_empty()
    }

    /// All stores in order, the command's own first. Opens no connection.
    ///
    /// # Errors
    /// A context that is missing, not valid, or given twice.
    pub fn stores(&self, ctx: &Context) -> Result<Vec<RemoteStore>, Failure> {
        let mut stores = vec![RemoteStore { name: None, store: ctx.store().clone() }];
        for name in &self.names {
            if stores.iter().any(|known| known.name.as_ref() == Some(name)) {
                return Err(Failure::usage(format!("--remote {name} is given twice")));
            }
            stores.push(RemoteStore { name: Some(name.clone()), store: ctx.other_store(name)? });
        }
        Ok(stores)
    }
}

impl RemoteStore {
    /// Adds the store's name to a failure, unless it is the command's own store.
    pub fn name_store(&self, error: impl Into<Failure>) -> Failure {
        let failure = error.into();
        match &self.name {
            Some(name) => failure.context(format!("remote '{}'", name.escape_debug())),
            None => failure,
        }
    }

    /// The store's name in the output; `None` if only one store is read.
    pub fn output_name(&self, remotes: &RemoteStores) -> Option<Option<&str>> {
        remotes.any().then_some(self.name.as_deref())
    }

    /// Whether the verb may go on after this failure: it concerns another store, and the user did not end the command.
    pub fn can_be_skipped(&self, failure: &Failure, ctx: &Context) -> bool {
        let over = ctx.deadline().is_some_and(|deadline| deadline <= tokio::time::Instant::now());
        self.name.is_some() && failure.exit != Exit::Interrupted && !over
    }
}
