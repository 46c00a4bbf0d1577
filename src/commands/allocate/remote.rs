//! Other stores that are known besides the command's own, as Cilium's `WatchRemoteKVStore` adds remote caches.

use clap::Args;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Store;

/// Which other stores are known.
#[derive(Args, Clone, Debug, Default)]
pub struct RemoteStores {
    /// Ask this context's store too, behind the command's own; repeatable, in this order. Its file alone says how it is
    /// reached
    #[arg(long = "remote", value_name = "CONTEXT", help_heading = "Allocator")]
    names: Vec<String>,
}

/// A store that is known.
pub struct RemoteStore {
    /// The context's name; `None` for the command's own store.
    pub name: Option<String>,
    /// The store.
    pub store: Store,
}

impl RemoteStores {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        !self.names.is_empty()
    }

    /// All stores in the order they are known, the command's own first; nothing is dialled.
    ///
    /// # Errors
    /// A context that is missing or bad, or named twice.
    pub fn stores(&self, ctx: &Context) -> Result<Vec<RemoteStore>, Failure> {
        let mut stores = vec![RemoteStore { name: None, store: ctx.store().clone() }];
        for name in &self.names {
            if stores.iter().any(|known| known.name.as_ref() == Some(name)) {
                return Err(Failure::usage(format!("--remote {name}: named twice")));
            }
            stores.push(RemoteStore { name: Some(name.clone()), store: ctx.other_store(name)? });
        }
        Ok(stores)
    }
}

impl RemoteStore {
    /// A failure with the store's name, where it is another one.
    pub fn name_store(&self, error: impl Into<Failure>) -> Failure {
        let failure = error.into();
        match &self.name {
            Some(name) => failure.context(format!("remote '{}'", name.escape_debug())),
            None => failure,
        }
    }

    /// For the output: nothing where only one store is known.
    pub fn output_name(&self, remotes: &RemoteStores) -> Option<Option<&str>> {
        remotes.any().then_some(self.name.as_deref())
    }

    /// Whether another store's failure may be left at a warning: the user did not end the command.
    pub fn can_be_skipped(&self, failure: &Failure, ctx: &Context) -> bool {
        let over = ctx.deadline().is_some_and(|deadline| deadline <= tokio::time::Instant::now());
        self.name.is_some() && failure.exit != Exit::Interrupted && !over
    }
}
