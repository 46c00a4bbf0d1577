//! `kvadm allocate list`.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;

use super::remote::{RemoteStore, RemoteStores};
use super::scope::BaseArgs;
use super::time_stamps;
use crate::allocator::{AllocatorScan, IdEntry, IdState, LabelSelector, ReferenceKey, UnknownKeyReason, entries, scan};
use crate::args::{KeyText, bytes_of};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Grant, LeaseId};
use crate::output::{IdRow, NodeRow, Sink, bytes};
use crate::plural::counted;

/// Leases that are remote about at once.
const AT_ONCE: usize = 16;
/// Unreadable keys that are reported individually.
const MAX_WARNINGS: usize = 20;

/// List IDs with their key, the number of nodes that use them, and their state.
///
/// Sorted by ID. States: in-use: nodes refer to the ID; unused: no node does; leased: the master is on a lease and no
/// node refers to the ID, as with the copies of other clusters' IDs that clustermesh-apiserver and kvstoremesh write;
/// duplicate: the key also has another ID, and that one is in effect; orphan: nodes refer to the ID, but no master
/// assigns it to their key.
///
/// All keys below the base are read at one revision and kept in memory: about 200 bytes per master or reference. JSON
/// and YAML include the nodes and their leases. Keys below id/ and value/ that are neither masters nor references are
/// reported as warnings; 'kvadm allocate check' reports the others.
/// Copies of other clusters' IDs (--cached) and further stores (--remote) follow; a store that cannot be reached is
/// reported, and the exit code is 6. With -v, the ages of cilium/.heartbeat and of the keys below cilium/synced/ are
/// printed, by the clocks of those who wrote them.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate list
  kvadm allocate list --node 10.0.0.1 --ttl
  kvadm allocate list --unused -o json
  kvadm allocate list --label k8s:app=web
  kvadm allocate list --remote east=/var/lib/cilium/clustermesh/east")]
pub struct Args {
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    remotes: RemoteStores,
    /// Only IDs that no node uses, except those in the state leased
    #[arg(long, conflicts_with = "state", help_heading = "Which IDs")]
    unused: bool,
    /// Only IDs in these states
    #[arg(long, value_name = "STATES", value_delimiter = ',', help_heading = "Which IDs")]
    state: Vec<StateFilter>,
    /// Only IDs that this node uses
    #[arg(long, value_name = "NAME", help_heading = "Which IDs")]
    node: Option<OsString>,
    /// Only IDs of keys with this prefix
    #[arg(long, value_name = "PREFIX", help_heading = "Which IDs")]
    key_prefix: Option<OsString>,
    /// Only IDs of keys with this label, [SOURCE:]KEY[=VALUE]; repeatable
    ///
    /// Several labels select the keys that have all of them. Without SOURCE, or with the source any, a label of every
    /// source matches; without =VALUE, a label of every value.
    #[arg(long = "label", value_name = "LABEL", help_heading = "Which IDs")]
    labels: Vec<String>,
    #[command(flatten)]
    text: KeyText,
    /// Also show the remaining seconds of the longest-lived reference
    #[arg(long)]
    ttl: bool,
}

/// State of an ID, as a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum StateFilter {
    /// Nodes refer to it
    InUse,
    /// No node refers to it
    Unused,
    /// Its master is on a lease, and no node refers to it
    Leased,
    /// Its key also has another ID, and that one is in effect
    Duplicate,
    /// Nodes refer to it, but no master assigns it to their key
    Orphan,
}

impl StateFilter {
    fn state(self) -> IdState {
        match self {
            Self::InUse => IdState::InUse,
            Self::Unused => IdState::Unused,
            Self::Leased => IdState::Leased,
            Self::Duplicate => IdState::Duplicate,
            Self::Orphan => IdState::Orphan,
        }
    }
}

/// Which IDs to list.
struct IdFilter {
    unused: bool,
    states: Vec<IdState>,
    node: Option<Vec<u8>>,
    key_prefix: Option<Vec<u8>>,
    labels: Vec<LabelSelector>,
}

impl IdFilter {
    fn matches(&self, scan: &AllocatorScan, entry: &IdEntry<'_>) -> bool {
        let uses = |reference: &&ReferenceKey| Some(scan.nodes.text(reference.node)) == self.node.as_deref();
        (!self.unused || (entry.references.is_empty() && entry.state != IdState::Leased))
            && (self.states.is_empty() || self.states.contains(&entry.state))
            && (self.node.is_none() || entry.references.iter().any(uses))
            && self.key_prefix.as_ref().is_none_or(|prefix| scan.keys.text(entry.key).starts_with(prefix))
            && self.labels.iter().all(|label| label.matches(scan.keys.text(entry.key)))
    }
}

/// Runs the verb.
///
/// # Errors
/// A context that is missing or not valid, or the command's own store is unreachable or rejects a request.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let layout = args.base.layout()?;
    let key_prefix = args.key_prefix.as_deref().map(|prefix| args.text.bytes(prefix)).transpose()?;
    let labels: Result<Vec<_>, _> = args.labels.iter().map(|label| LabelSelector::parse(label)).collect();
    let labels = labels.map_err(|error| Failure::usage(format!("--label: {error}")))?;
    let filter = IdFilter {
        unused: args.unused,
        states: args.state.iter().map(|state| state.state()).collect(),
        node: args.node.as_deref().map(bytes_of),
        key_prefix,
        labels,
    };
    let stores = args.remotes.stores(ctx, &layout).await?;
    let mut sink = ctx.out.stream();
    let mut exit = Exit::Done;
    for remote in &stores {
        match read(ctx, args, &filter, remote).await {
            Ok((scan, times)) => {
                // The time stamps belong to a store, not to a base in it.
                if !remote.own || remote.name.is_none() {
                    time_stamps::print_ages(ctx, remote).await;
                }
                print_rows(ctx, args, &filter, remote, &scan, times.as_ref(), &mut sink)?;
            }
            Err(failure) => {
                let failure = remote.name_store(failure);
                if !remote.can_be_skipped(&failure, ctx) {
                    return Err(failure);
                }
                ctx.out.warn(&format!("{}; its IDs are not listed", failure.one_line()));
                exit = Exit::Partial;
            }
        }
    }
    sink.finish()?;
    Ok(exit)
}

type LeaseTimes = HashMap<LeaseId, Option<Grant>>;

/// Reads a store completely, so that no rows are printed of a store that fails halfway.
async fn read(
    ctx: &Context,
    args: &Args,
    filter: &IdFilter,
    remote: &RemoteStore,
) -> Result<(AllocatorScan, Option<LeaseTimes>), Failure> {
    let progress = ctx.out.progress("reading", None);
    let scan = scan(&remote.store, &remote.layout, |count| progress.inc(count)).await?;
    progress.finish();
    if !args.ttl || remote.store.is_local() {
        return Ok((scan, None));
    }
    let entries = entries(&scan);
    let listed = entries.iter().filter(|entry| filter.matches(&scan, entry));
    let leases: BTreeSet<LeaseId> =
        listed.flat_map(|entry| &entry.references).filter_map(|reference| reference.lease).collect();
    let leases: Vec<LeaseId> = leases.into_iter().collect();
    let progress = ctx.out.progress("asking for TTLs", Some(leases.len() as u64));
    let mut times = LeaseTimes::new();
    for some in leases.chunks(AT_ONCE) {
        times.extend(remote.store.time_to_live_many(some).await?);
        progress.inc(some.len() as u64);
    }
    progress.finish();
    Ok((scan, Some(times)))
}

fn print_rows(
    ctx: &Context,
    args: &Args,
    filter: &IdFilter,
    remote: &RemoteStore,
    scan: &AllocatorScan,
    times: Option<&LeaseTimes>,
    sink: &mut Sink,
) -> Result<(), Failure> {
    for entry in entries(scan).iter().filter(|entry| filter.matches(scan, entry)) {
        let time = |lease: LeaseId| times?.get(&lease).copied().flatten().map(|grant| (grant.ttl, grant.left));
        let node = |reference: &&ReferenceKey| NodeRow {
            node: scan.nodes.text(reference.node),
            lease: reference.lease,
            time: reference.lease.and_then(time),
        };
        let mut nodes: Vec<NodeRow<'_>> = entry.references.iter().map(node).collect();
        nodes.sort_by_key(|row| row.node);
        let permanent = nodes.iter().any(|node| node.lease.is_none());
        let last = nodes.iter().map(|node| node.time.map_or(0, |(_, left)| left)).max().filter(|_| !permanent);
        sink.push(&IdRow {
            id: &entry.id.to_string(),
            key: scan.keys.text(entry.key),
            nodes: &nodes,
            state: entry.state.name(),
            lease: entry.master.and_then(|index| scan.masters.get(index)).and_then(|master| master.lease),
            left: times.map(|_| last),
            store: remote.output_name(&args.remotes),
        })?;
    }
    warn_unlisted(ctx, remote, scan);
    Ok(())
}

/// Warns of keys that are not listed.
fn warn_unlisted(ctx: &Context, remote: &RemoteStore, scan: &AllocatorScan) {
    let at = remote.name.as_ref().map_or(String::new(), |name| format!("remote '{}': ", name.escape_debug()));
    let unknown = scan.unknown_keys.iter().map(|(path, why)| {
        let not = match why {
            UnknownKeyReason::MasterPath => "is not a master: its last part is not an ID",
            UnknownKeyReason::ReferencePath => "is not a reference: it has no key or no node",
        };
        format!("{} {not}", bytes::escape(path))
    });
    let unreadable = scan.references.iter().filter(|reference| reference.id.is_none()).map(|reference| {
        let (key, node) = (scan.keys.text(reference.key), scan.nodes.text(reference.node));
        format!("the value of node {}'s reference to {} is not an ID", bytes::escape(node), bytes::escape(key))
    });
    let mut all = unknown.chain(unreadable);
    for text in all.by_ref().take(MAX_WARNINGS) {
        ctx.out.warn(&format!("{at}{text}"));
    }
    let more = all.count();
    if more > 0 {
        let check = remote.check_command();
        ctx.out.warn(&format!("{at}{}: see '{check}'", counted(more, "more unreadable key")));
    }
}
