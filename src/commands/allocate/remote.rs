//! Further stores that a verb reads, as Cilium's `WatchRemoteKVStore` adds remote caches.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use clap::Args;

use crate::allocator::{Layout, copied_clusters};
use crate::command_line::CommandLine;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Store;
use crate::output::bytes;

/// Further stores to read.
#[derive(Args, Clone, Debug, Default)]
pub struct RemoteStores {
    /// Also read this store, a CONTEXT or NAME=FILE[:BASE]; repeatable
    ///
    /// The stores are read in order, after the command's own. FILE is the configuration of an etcd client, such as a
    /// file in /var/lib/cilium/clustermesh. BASE takes the place of --base. Only the file, or the context's file,
    /// determines how the store is reached.
    #[arg(long = "remote", value_name = "STORE", help_heading = "Allocator")]
    remotes: Vec<String>,
    /// Also read kvstoremesh's copies of other clusters' IDs
    ///
    /// The copies are in the command's own store. Cluster C's copy is below cilium/cache/identities/v1/C for the base
    /// cilium/state/identities/v1, and is named cache/C in the output.
    #[arg(long, help_heading = "Allocator")]
    cached: bool,
}

/// A store to read, and the base in it.
pub struct RemoteStore {
    /// Its name; `None` for the command's own store and base.
    pub name: Option<String>,
    /// The store.
    pub store: Store,
    /// The paths below the base.
    pub layout: Layout,
    /// Whether it is the command's own store.
    pub own: bool,
    /// The options that name the store on a command line.
    options: Vec<OsString>,
}

impl RemoteStores {
    /// Whether further stores were given.
    pub fn any(&self) -> bool {
        self.cached || !self.remotes.is_empty()
    }

    /// All stores in order: the command's own, the copies in it, then the remote ones. Reads only the names of the
    /// clusters that have copies, from the command's own store.
    ///
    /// # Errors
    /// A remote store that is missing, not valid, or given twice; a base that has no copies; or the command's own store
    /// is unreachable or rejects a request.
    pub async fn stores(&self, ctx: &Context, layout: &Layout) -> Result<Vec<RemoteStore>, Failure> {
        let mut remotes: Vec<RemoteStore> = Vec::with_capacity(self.remotes.len());
        for given in &self.remotes {
            let remote = open_remote(ctx, given, layout)?;
            if remotes.iter().any(|known| known.name == remote.name) {
                let name = remote.name.unwrap_or_default();
                return Err(Failure::usage(format!("--remote {} is given twice", name.escape_debug())));
            }
            remotes.push(remote);
        }
        let options = ctx.config.store_options.clone();
        let own = RemoteStore { name: None, store: ctx.store().clone(), layout: layout.clone(), own: true, options };
        let mut stores = vec![own];
        if self.cached {
            stores.extend(copies(ctx, layout).await?);
        }
        stores.extend(remotes);
        Ok(stores)
    }
}

fn open_remote(ctx: &Context, given: &str, layout: &Layout) -> Result<RemoteStore, Failure> {
    let remote = |name: &str, store, layout, option: [&str; 2]| {
        let options = option.map(OsString::from).to_vec();
        RemoteStore { name: Some(name.to_owned()), store, layout, own: false, options }
    };
    let Some((name, place)) = given.split_once('=') else {
        return Ok(remote(given, ctx.other_store(given)?, layout.clone(), ["--context", given]));
    };
    let (file, base) = place.split_once(':').map_or((place, None), |(file, base)| (file, Some(base)));
    if name.is_empty() || file.is_empty() {
        let text = format!("--remote: '{}' is neither a context nor NAME=FILE[:BASE]", given.escape_debug());
        return Err(Failure::usage(text));
    }
    let shown = name.escape_debug();
    let layout = match base {
        Some(base) => Layout::new(base.as_bytes())
            .map_err(|error| Failure::usage(format!("--remote {shown}: the base {error}")))?,
        None => layout.clone(),
    };
    let store = ctx.store_of_file(Path::new(file), &format!("remote '{shown}'"))?;
    Ok(remote(name, store, layout, ["--config", file]))
}

/// The copies of other clusters' IDs in the command's own store.
async fn copies(ctx: &Context, layout: &Layout) -> Result<Vec<RemoteStore>, Failure> {
    let Some(range) = layout.copies() else {
        return Err(Failure::usage("--cached: the base has no segment 'state' that kvstoremesh replaces by 'cache'"));
    };
    let clusters = copied_clusters(ctx.store(), &range).await?;
    let mut stores = Vec::with_capacity(clusters.len());
    for cluster in clusters {
        let base = [range.start.as_slice(), cluster.as_slice()].concat();
        match Layout::new(&base) {
            Ok(layout) => {
                let name = Some(format!("cache/{}", bytes::escape(&cluster)));
                let options = ctx.config.store_options.clone();
                stores.push(RemoteStore { name, store: ctx.store().clone(), layout, own: true, options });
            }
            Err(error) => ctx.out.warn(&format!("{} is not read: it {error}", bytes::escape(&base))),
        }
    }
    Ok(stores)
}

impl RemoteStore {
    /// The command line that checks this store's keys.
    pub fn check_command(&self) -> CommandLine {
        let base = OsString::from_vec(self.layout.base().to_vec());
        CommandLine::new(&self.options, &["allocate", "check", "--base"]).words([base])
    }

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
