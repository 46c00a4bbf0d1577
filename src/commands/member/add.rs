//! `kvadm member add`.

use std::time::Duration;

use super::judge::judge;
use super::steps::{MemberSteps, NewProcess, in_quotes};
use super::urls::{PeerUrl, check_free, has_exactly, parse_peer_url, texts, warnings};
use super::view::{ClusterView, MemberView};
use super::wait::MemberWait;
use crate::args::parse_duration;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{VoterChange, VoterVerdict};
use crate::kvstore::Member;
use crate::output::MembershipRow;

#[derive(clap::Args, Debug)]
pub struct AddMember {
    /// Name of the new member, as its process gets it with --name
    #[arg(value_name = "NAME", value_parser = parse_name)]
    name: String,
    /// URLs at which the other members reach the new one
    #[arg(long, value_name = "URL", value_delimiter = ',', required = true, value_parser = parse_peer_url)]
    peer_urls: Vec<PeerUrl>,
    /// Add it without a vote (recommended), and promote it when it has caught up
    ///
    /// A voter counts for the quorum before its process runs. If it never starts, because of a wrong URL, the cluster tolerates
    /// one failure less; a cluster of one member stops. A learner does no harm. etcd allows one learner at a time, unless
    /// configured otherwise.
    #[arg(long)]
    learner: bool,
    /// Wait up to D until the new member has started and is healthy
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// Send the request although the quorum is at risk; etcd may refuse it
    #[arg(long)]
    force: bool,
}

/// What to do about a voter that does not answer before a member is added.
const REPLACE_FIRST: &str =
    "start it again, or replace it first: 'kvadm member replace MEMBER --name NEW --peer-urls URL'";

/// The longest name of a new member.
const MAX_NAME_BYTES: usize = 256;

/// The name of a new member, which the list of members separates by = and commas.
///
/// # Errors
/// What it must be.
pub fn parse_name(text: &str) -> Result<String, String> {
    if text.len() > MAX_NAME_BYTES {
        return Err(format!("must be a name of at most {MAX_NAME_BYTES} bytes"));
    }
    let is_right = |c: char| !c.is_control() && !c.is_whitespace() && !"=,".contains(c);
    let is_safe = !text.is_empty() && !text.starts_with('-') && text.chars().all(is_right);
    if is_safe { Ok(text.to_owned()) } else { Err("must be a name without spaces, '=' and commas".to_owned()) }
}

/// Adds a member.
pub async fn run(ctx: &Context, args: &AddMember) -> Result<Exit, Failure> {
    check_free(&args.peer_urls, [])?;
    let view = ClusterView::load(ctx).await?;
    let steps = MemberSteps { ctx, force: args.force, replaces: false };
    let id = match added_before(&view, args) {
        Some(member) => {
            ctx.out.note(&format!("nothing to do: {} is already added, with these peer URLs", member.label()));
            steps.print_again(&view, member, &args.name)?;
            if ctx.safety.dry_run {
                return Ok(Exit::Done);
            }
            member.member.id
        }
        None => {
            check_free(&args.peer_urls, &view.members)?;
            check_name(&view, &args.name)?;
            for warning in warnings(&args.name, &args.peer_urls, &view.members) {
                ctx.out.warn(&warning);
            }
            check_add(&steps, &view, &args.name, args.learner)?;
            if ctx.safety.dry_run {
                return dry_run(ctx, &view, args);
            }
            steps.add(&view, &args.name, &args.peer_urls, args.learner).await?
        }
    };
    let promote = ctx.command_line(&["member", "promote"]).key(args.name.as_bytes()).words(["--wait", "10m"]);
    if let Some(limit) = args.wait {
        let mut remains = vec!["the member is added: start its process with the settings above".to_owned()];
        if args.learner {
            remains.push(format!("then make it a voter: {}", in_quotes(&promote)));
        }
        let member = MemberWait::new(ctx, limit, remains).started(id, &args.name).await?;
        ctx.out.note(&format!("{} has started", args.name));
        steps.report("started", &member, None)?;
    }
    if args.learner && view.find(id).is_none_or(|one| one.member.learner) {
        let when = if args.wait.is_some() { "" } else { "when it has started, " };
        ctx.out.note(&format!("{when}make it a voter: {}", in_quotes(&promote)));
    }
    Ok(Exit::Done)
}

/// The member that an earlier run of the same command has added. The name of a member that has not started is unknown.
fn added_before<'a>(view: &'a ClusterView, args: &AddMember) -> Option<&'a MemberView> {
    let is_it = |one: &&MemberView| {
        has_exactly(one, &args.peer_urls)
            && (!one.started() || one.member.name == args.name)
            && (args.learner || !one.member.learner)
    };
    view.members.iter().find(is_it).filter(|one| {
        view.members.iter().all(|other| other.member.id == one.member.id || other.member.name != args.name)
    })
}

/// Checks that no member has the name.
fn check_name(view: &ClusterView, name: &str) -> Result<(), Failure> {
    match view.members.iter().find(|view| view.member.name == name) {
        Some(taken) => Err(Failure::conflict(format!("member {} has this name", taken.label()))
            .hint("'kvadm member replace' puts a new member in the place of an old one")),
        None => Ok(()),
    }
}

/// Judges the addition, and says so.
///
/// # Errors
/// A conflict, if the quorum would be at risk.
pub fn check_add(steps: &MemberSteps<'_>, view: &ClusterView, name: &str, learner: bool) -> Result<(), Failure> {
    let (change, role) = if learner { (VoterChange::Learner, "learner") } else { (VoterChange::AddVoter, "voter") };
    let judged = judge(view, change, &format!("adding {name} as a {role}"));
    let enforced = judged.enforce(steps.ctx, view, steps.force);
    let down = view.voters_down(0);
    if let (Ok(()), true, Some(down), false) = (&enforced, learner, down.first(), steps.force) {
        return Err(Failure::conflict(format!("voter {} does not answer", down.label()))
            .context("refused: etcd adds a member only while all voters are connected")
            .hint(REPLACE_FIRST)
            .hint("add --force to send the request all the same; etcd may refuse it"));
    }
    enforced.map_err(|failure| match judged.verdict {
        // While a voter is down, etcd adds no learner either.
        VoterVerdict::LosesQuorum if !down.is_empty() => failure
            .hint("'--learner' is refused as well: etcd adds a member only while all voters are connected")
            .hint(REPLACE_FIRST),
        VoterVerdict::LosesQuorum => {
            failure.hint("add --learner: the new member gets its vote later, with 'kvadm member promote'")
        }
        _ => failure,
    })
}

fn dry_run(ctx: &Context, view: &ClusterView, args: &AddMember) -> Result<Exit, Failure> {
    let role = if args.learner { "learner" } else { "voter" };
    ctx.out.note(&format!("dry run: {} would be added to cluster {:x} as a {role}", args.name, view.cluster));
    let texts = texts(&args.peer_urls);
    let members: Vec<Member> = view.members.iter().map(|view| view.member.clone()).collect();
    let count = view.count().after(if args.learner { VoterChange::Learner } else { VoterChange::AddVoter });
    let row = MembershipRow {
        outcome: "would-add",
        name: &args.name,
        peer_urls: &texts,
        learner: Some(args.learner),
        voters: Some((count.voters, count.answering)),
        dry_run: true,
        ..MembershipRow::default()
    };
    NewProcess::new(&args.name, &texts, &members, args.learner).print(ctx, &row)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_list_of_members_can_hold() {
        for name in ["m1", "etcd-0.example", "a_b", "\u{e4}"] {
            assert!(parse_name(name).is_ok(), "{name}");
        }
        assert!(parse_name(&"a".repeat(256)).is_ok() && parse_name(&"a".repeat(257)).is_err());
        for name in ["", "-x", "a b", "a=b", "a,b", "a\u{1b}", "a\n"] {
            assert!(parse_name(name).is_err(), "{name:?}");
        }
    }
}
