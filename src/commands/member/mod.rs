//! `kvadm member`: list, add, remove, promote, update and replace members, and move leadership.

mod add;
mod changes;
mod find;
mod judge;
mod list;
mod listener;
mod replace;
mod replace_plan;
mod steps;
mod urls;
mod view;
mod wait;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{hidden_safety_options, safety_options};
use crate::context::Context;
use crate::error::{Exit, Failure};

/// List, add, promote, replace and remove members
///
/// Before each change, kvadm says what it means for the quorum: how many voters answer now and
/// afterwards, and how many more may fail. A change that would cost the quorum is refused with
/// exit code 5; --force sends it all the same, and etcd may refuse it. Without a quorum nothing
/// can be changed (3).
///
/// MEMBER is an ID in hex, a name, or a peer or client URL. A member that has not started has no
/// name yet.
///
/// To grow a cluster, add each member as a learner, start its process, and promote it. To replace
/// a member, use 'member replace', which does the same and then removes the old one.
#[derive(ClapArgs, Debug)]
#[command(verbatim_doc_comment, after_help = "\
Examples:
  kvadm member list
  kvadm member add m2 --peer-urls https://etcd-2.example:2380 --learner
  kvadm member promote m2 --wait 10m
  kvadm member replace m1 --name m4 --peer-urls https://etcd-4.example:2380", args = hidden_safety_options(), disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    action: MemberCommand,
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// List the members: ID, name, state, role, URLs, health
    ///
    /// The list has all changes that were done before, which needs a quorum. Each member is asked for its own state; a member
    /// that kvadm does not reach at its client URLs is unreachable.
    #[command(
        after_help = "Examples:\n  kvadm member list\n  kvadm member list -o json\n  kvadm member list --serializable"
    )]
    List {
        /// List what one member knows, which may be old; needs no quorum
        #[arg(long)]
        serializable: bool,
    },
    /// Add a member, and print what its process needs
    ///
    /// Prints the environment of the new process (for a shell, systemd or a container) and the same as options of etcd. Start
    /// the process with an empty data folder. If the member is already added, with the same name and URLs, this is printed again.
    ///
    /// Exits 5 if a member has the name or one of the URLs, if the quorum would be lost, or while a voter is down. If --wait ends
    /// first, the member stays added (1).
    #[command(
        after_help = "Examples:\n  kvadm member add m2 --peer-urls https://etcd-2.example:2380 --learner\n  kvadm member add m2 --peer-urls http://10.0.0.2:2380 --learner --wait 10m",
        args = safety_options()
    )]
    Add(add::AddMember),
    /// Remove a member from the cluster
    ///
    /// kvadm says what remains and asks; without a terminal, --yes is required. If the member leads, leadership is moved first. The
    /// last voter cannot be removed.
    #[command(
        after_help = "Examples:\n  kvadm member remove m2\n  kvadm member remove 8e9e05c52164694d --yes",
        args = safety_options()
    )]
    Remove(changes::RemoveMember),
    /// Make a learner a voter
    ///
    /// A learner is promoted only when it has caught up with the leader. Without --wait, kvadm exits 5 if it has not. With --wait,
    /// MEMBER may be the name of a learner that has not started yet.
    #[command(
        after_help = "Examples:\n  kvadm member promote m2\n  kvadm member promote m2 --wait 10m",
        args = safety_options()
    )]
    Promote(changes::PromoteMember),
    /// Change the peer URLs of a member
    ///
    /// The other members use the new URLs for each new connection. If the member does not listen there, it is cut off as soon as
    /// an old connection ends. kvadm connects to the peer URLs to see whether something listens, warns if nothing does, and
    /// refuses the change (5) if so many voters would be cut off that the cluster could lose its quorum.
    #[command(
        after_help = "Examples:\n  kvadm member update m1 --peer-urls https://etcd-1.example:2380\n  kvadm member update m1 --peer-urls http://10.0.0.1:2380,http://10.1.0.1:2380 \\\n      --dry-run",
        args = safety_options()
    )]
    Update(changes::UpdateMember),
    /// Move leadership to another voter
    ///
    /// The request is sent to the leader. Clients notice a short election.
    #[command(
        after_help = "Examples:\n  kvadm member move-leader\n  kvadm member move-leader m2",
        args = safety_options()
    )]
    MoveLeader(changes::MoveLeader),
    /// Put a new member in the place of an old one
    ///
    /// Adds the new member as a learner, prints what its process needs, waits until it has started and caught up, promotes it,
    /// moves leadership away from the old member, and removes that. The cluster never has fewer voters that answer than before.
    ///
    /// An old member that does not answer is removed first: that costs no voter that answers, and etcd adds no member while a
    /// voter is down.
    ///
    /// Run the same command again after an interruption: it finds the learner by its peer URL, prints again what its process
    /// needs, and goes on. If the new member is a voter already, or no member is MEMBER, kvadm changes nothing, because it cannot
    /// tell an interrupted replacement from a mistake (5 or 1); the error names the command that goes on.
    ///
    /// To replace a member at its own peer URL, stop its process first.
    #[command(
        after_help = "Examples:\n  kvadm member replace m1 --name m4 --peer-urls https://etcd-4.example:2380\n  kvadm member replace m1 --name m4 --peer-urls http://10.0.0.4:2380 --dry-run",
        args = safety_options()
    )]
    Replace(replace::ReplaceMember),
}

/// Runs the verb.
///
/// # Errors
/// No quorum, a change that would cost it, a declined confirmation, or a refusal of etcd.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        MemberCommand::List { serializable } => list::run(ctx, *serializable).await,
        MemberCommand::Add(args) => add::run(ctx, args).await,
        MemberCommand::Remove(args) => changes::remove(ctx, args).await,
        MemberCommand::Promote(args) => changes::promote(ctx, args).await,
        MemberCommand::Update(args) => changes::update(ctx, args).await,
        MemberCommand::MoveLeader(args) => changes::move_leader(ctx, args).await,
        MemberCommand::Replace(args) => replace::run(ctx, args).await,
    }
}
