//! `kvadm member remove`, `promote`, `update` and `move-leader`.

use std::time::Duration;

use super::find::find_member;
use super::judge::{judge, judge_counts};
use super::listener::{any_listens, without_listener};
use super::steps::{MemberSteps, check_removal, explained, in_quotes};
use super::urls::{PeerUrl, check_free, has_exactly, parse_peer_url, texts, warnings};
use super::view::{ClusterView, MemberView};
use super::wait::{MemberWait, WaitState, caught_up};
use crate::args::parse_duration;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{VoterChange, VoterCount};
use crate::kvstore::{ChangeEvidence, Member, Refusal};
use crate::transport::Endpoint;

#[derive(clap::Args, Debug)]
pub struct RemoveMember {
    /// ID, name or URL of the member
    #[arg(value_name = "MEMBER")]
    member: String,
    /// Send the request although the quorum is at risk; etcd may refuse it
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args, Debug)]
pub struct PromoteMember {
    /// ID, name or URL of the learner
    #[arg(value_name = "MEMBER")]
    member: String,
    /// Wait up to D until the learner has started and caught up
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// Send the request although the learner or the quorum is not ready; etcd may refuse it
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args, Debug)]
pub struct UpdateMember {
    /// ID, name or URL of the member
    #[arg(value_name = "MEMBER")]
    member: String,
    /// URLs at which the other members reach it from now on
    #[arg(long, value_name = "URL", value_delimiter = ',', required = true, value_parser = parse_peer_url)]
    peer_urls: Vec<PeerUrl>,
    /// Send the request although the quorum is at risk; etcd may refuse it
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args, Debug)]
pub struct MoveLeader {
    /// ID, name or URL of the next leader [default: the voter that has applied the most]
    #[arg(value_name = "MEMBER")]
    member: Option<String>,
}

/// The member that a word means.
fn meant<'a>(view: &'a ClusterView, word: &str) -> Result<&'a MemberView, Failure> {
    find_member(&view.members.iter().collect::<Vec<_>>(), word)
}

/// Removes a member.
pub async fn remove(ctx: &Context, args: &RemoveMember) -> Result<Exit, Failure> {
    let view = ClusterView::load(ctx).await?;
    let target = meant(&view, &args.member)?;
    let steps = MemberSteps { ctx, force: args.force, replaces: false };
    let sentence = check_removal(&steps, &view, target)?;
    let label = target.label();
    let next = view.best_leader(target.member.id).filter(|_| view.leader == target.member.id);
    let leads_first =
        next.map_or_else(String::new, |next| format!("it leads: leadership moves to {} first", next.label()));
    if ctx.safety.dry_run {
        if !leads_first.is_empty() {
            ctx.out.note(&leads_first);
        }
        ctx.out.note(&format!("dry run: member {label} would be removed from cluster {:x}", view.cluster));
        steps.report("would-remove", &target.member, None)?;
        return Ok(Exit::Done);
    }
    let first = if leads_first.is_empty() { String::new() } else { format!("{leads_first}; ") };
    let question = format!("Remove member {label} from cluster {:x} ({first}{sentence})", view.cluster);
    let consent = ctx.consent(&question)?;
    steps.remove(&view, &consent, target).await?;
    ctx.out.note(&format!("stop the process of {} if it still runs, and delete its data folder", target.name()));
    Ok(Exit::Done)
}

/// Whether no member is meant by the word, and a learner has not started yet, whose name is not known.
fn may_be_unstarted(view: &ClusterView, word: &str) -> bool {
    let is_unknown = meant(view, word).is_err_and(|failure| failure.exit == Exit::No);
    is_unknown && view.members.iter().any(|view| view.member.learner && !view.started())
}

/// Says which learners have not started, one of which may be meant by the word.
fn with_unstarted(ctx: &Context, view: &ClusterView, word: &str, failure: Failure) -> Failure {
    if !may_be_unstarted(view, word) {
        return failure;
    }
    let unstarted = view.members.iter().filter(|view| view.member.learner && !view.started());
    unstarted.fold(failure, |failure, learner| {
        let (id, urls) = (learner.name(), learner.member.peer_urls.join(","));
        let wait = ctx.command_line(&["member", "promote"]).key(id.as_bytes()).words(["--wait", "10m"]);
        failure.hint(format!(
            "the learner with ID {id} (peer URL {urls}) has not started, so that its name is not known; start its process, \
             and promote it: {}",
            in_quotes(&wait)
        ))
    })
}

/// Promotes a learner.
pub async fn promote(ctx: &Context, args: &PromoteMember) -> Result<Exit, Failure> {
    let mut view = ClusterView::load(ctx).await?;
    if let Some(limit) = args.wait.filter(|_| !ctx.safety.dry_run && may_be_unstarted(&view, &args.member)) {
        // The list has a name only when the member has started.
        let name = &args.member;
        let look = async || {
            let named = ctx.store().current_members().await?.members.into_iter().any(|member| member.name == *name);
            Ok(if named {
                WaitState::Ready(())
            } else {
                WaitState::Pending(format!("no member called {name} has started"))
            })
        };
        MemberWait::new(ctx, limit, Vec::new()).until(look).await?;
        view = ClusterView::load(ctx).await?;
    }
    let target = meant(&view, &args.member).map_err(|failure| with_unstarted(ctx, &view, &args.member, failure))?;
    let steps = MemberSteps { ctx, force: args.force, replaces: false };
    if !target.member.learner {
        ctx.out.note(&format!("nothing to do: {} is a voter", target.label()));
        steps.report("unchanged", &target.member, None)?;
        return Ok(Exit::Done);
    }
    let (id, name) = (target.member.id, target.name());
    if ctx.safety.dry_run {
        judge(&view, VoterChange::Promote { answers: true }, &format!("promoting {name}")).enforce(ctx, &view, true)?;
        ctx.out.note(&format!(
            "dry run: learner {} would become a voter of cluster {:x}",
            target.label(),
            view.cluster
        ));
        steps.report("would-promote", &target.member, None)?;
        return Ok(Exit::Done);
    }
    let again = ctx.command_line(&["member", "promote"]).key(format!("{id:x}").as_bytes()).words(["--wait", "10m"]);
    if args.wait.is_none()
        && !args.force
        && let WaitState::Pending(why) = caught_up(ctx, id, &name).await?
    {
        return Err(Failure::conflict(why)
            .context(format!("learner {} was not promoted: it has not caught up", target.label()))
            .hint(format!("to wait until it has: {}", in_quotes(&again))));
    }
    promote_when_ready(&steps, id, &name, args.wait, vec![format!("to go on: {}", in_quotes(&again))]).await?;
    Ok(Exit::Done)
}

/// Waits until a learner has caught up, if there is time for that, and promotes it. etcd's own refusal is waited out too.
pub async fn promote_when_ready(
    steps: &MemberSteps<'_>,
    id: u64,
    name: &str,
    limit: Option<Duration>,
    remains: Vec<String>,
) -> Result<(), Failure> {
    let ctx = steps.ctx;
    let mut wait = MemberWait::new(ctx, limit.unwrap_or_default(), remains);
    if limit.is_some() {
        wait.caught_up(id, name).await?;
    }
    let view = ClusterView::load(ctx).await?;
    let Some(target) = view.find(id) else {
        return Err(Failure::conflict(format!("member {name} was removed meanwhile")));
    };
    let name = target.name();
    // A learner that kvadm does not reach is judged as one that does not answer.
    let change = VoterChange::Promote { answers: target.answers };
    let judged = judge(&view, change, &format!("promoting {name}"));
    let judged = if steps.replaces { judged.followed_by_removal() } else { judged };
    judged.enforce(ctx, &view, steps.force)?;
    if limit.is_none() {
        return steps.promote(&view, target).await;
    }
    let (view, target, label) = (&view, target, name);
    let label = &label;
    wait.until(async || match steps.promote(view, target).await {
        Err(failure) if failure.store_error().is_some_and(|error| error.is_refusal(Refusal::LearnerLags)) => {
            Ok(WaitState::Pending(format!("{label} has not caught up with the leader")))
        }
        Err(failure) => Err(failure),
        Ok(()) => Ok(WaitState::Ready(())),
    })
    .await
}

/// Changes the peer URLs of a member.
pub async fn update(ctx: &Context, args: &UpdateMember) -> Result<Exit, Failure> {
    check_free(&args.peer_urls, [])?;
    let view = ClusterView::load(ctx).await?;
    let target = meant(&view, &args.member)?;
    let id = target.member.id;
    let others = || view.members.iter().filter(|view| view.member.id != id);
    check_free(&args.peer_urls, others())?;
    let steps = MemberSteps { ctx, force: args.force, replaces: false };
    let (name, label) = (target.name(), target.label());
    if has_exactly(target, &args.peer_urls) {
        ctx.out.note(&format!("nothing to do: {label} has these peer URLs"));
        steps.report("unchanged", &target.member, None)?;
        return Ok(Exit::Done);
    }
    for warning in warnings(&name, &args.peer_urls, others()) {
        ctx.out.warn(&warning);
    }
    let change = match target.member.learner {
        true => VoterChange::Learner,
        false => VoterChange::Readdress { answers: target.answers },
    };
    // Voters whose peer URLs nobody listens at are reached by old connections only, or not at all.
    let voters: Vec<&MemberView> = others().filter(|other| !other.member.learner && other.started()).collect();
    let cut_off = without_listener(&voters).await;
    for other in &cut_off {
        ctx.out.warn(&format!(
            "nothing listens at {}, the peer URL of {}",
            other.member.peer_urls.join(","),
            other.name()
        ));
    }
    let endpoints: Vec<Endpoint> = args.peer_urls.iter().map(|url| url.endpoint.clone()).collect();
    if !any_listens(&endpoints).await {
        ctx.out.warn(&format!(
            "nothing listens at {} yet: start {name} with it in --listen-peer-urls before you change another member",
            texts(&args.peer_urls).join(",")
        ));
    }
    let count = view.count();
    let count = VoterCount {
        answering: count.answering.saturating_sub(cut_off.iter().filter(|other| other.answers).count()),
        ..count
    };
    let is_started = cut_off.is_empty() && view.only_unstarted_are_missing();
    judge_counts(count, is_started, change, &format!("changing the peer URLs of {name}"))
        .enforce(ctx, &view, args.force)
        .map_err(|failure| {
            failure.hint(format!(
                "the safe way: {name} listens at the old and the new URLs (--listen-peer-urls) before the change; \
                 then add --force"
            ))
        })?;
    let texts = texts(&args.peer_urls);
    let updated = Member { peer_urls: texts.clone(), ..target.member.clone() };
    let shown = texts.join(",");
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: the peer URLs of {label} in cluster {:x} would be {shown}", view.cluster));
        steps.report("would-update", &updated, None)?;
        return Ok(Exit::Done);
    }
    let sent = ctx.store().member_update(id, &texts).await;
    let evidence = sent.map_err(|error| explained(error, format!("the peer URLs of {label} were not changed")))?;
    if evidence == ChangeEvidence::ReadBack {
        ctx.out.note("the answer was lost, but the cluster shows that the change is done");
    }
    ctx.out
        .note(&format!("the peer URLs of {label} are now {shown}; the member must listen there (--listen-peer-urls)"));
    steps.report("updated", &updated, None)?;
    Ok(Exit::Done)
}

/// Moves leadership.
pub async fn move_leader(ctx: &Context, args: &MoveLeader) -> Result<Exit, Failure> {
    let view = ClusterView::load(ctx).await?;
    let steps = MemberSteps { ctx, force: false, replaces: false };
    let target = match &args.member {
        Some(word) => meant(&view, word)?,
        None => view.best_leader(0).ok_or_else(|| {
            Failure::conflict("no other voter answers").context("leadership was not moved").hint("run 'kvadm status'")
        })?,
    };
    let label = target.label();
    if target.member.id == view.leader {
        ctx.out.note(&format!("nothing to do: {label} is the leader"));
        steps.report("unchanged", &target.member, None)?;
        return Ok(Exit::Done);
    }
    let why = match target {
        target if target.member.learner => Some("is a learner, which cannot lead"),
        target if !target.started() => Some("has not started"),
        target if !target.answers => Some("does not answer"),
        _ => None,
    };
    if let Some(why) = why {
        return Err(Failure::conflict(format!("{label} {why}")).context("leadership was not moved"));
    }
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: leadership of cluster {:x} would be moved to {label}", view.cluster));
        steps.report("would-move-leader", &target.member, None)?;
        return Ok(Exit::Done);
    }
    steps.move_leader(&view, target).await?;
    Ok(Exit::Done)
}
