//! `kvadm member replace`: a new member in the place of an old one.

use std::time::Duration;

use super::add::{check_add, parse_name};
use super::changes::promote_when_ready;
use super::find::find_member;
use super::judge::judge_counts;
use super::replace_plan::{NewMember, OldMember, ReplaceState, ReplaceStep};
use super::steps::{MemberSteps, NewProcess, check_removal};
use super::urls::{PeerUrl, check_free, has_url, parse_peer_url, texts, warnings};
use super::view::{ClusterView, MemberView};
use super::wait::MemberWait;
use crate::args::parse_duration;
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::VoterVerdict;
use crate::kvstore::Member;
use crate::output::MembershipRow;

#[derive(clap::Args, Debug)]
pub struct ReplaceMember {
    /// ID, name or URL of the member that goes
    #[arg(value_name = "MEMBER")]
    member: String,
    /// Name of the new member
    #[arg(long, value_name = "NEW", value_parser = parse_name)]
    name: String,
    /// URLs at which the other members reach the new one
    #[arg(long, value_name = "URL", value_delimiter = ',', required = true, value_parser = parse_peer_url)]
    peer_urls: Vec<PeerUrl>,
    /// Wait up to D until the new member has started, and again until it has caught up
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "10m")]
    wait: Duration,
    /// Send the requests although the quorum is at risk; etcd may refuse them
    #[arg(long)]
    force: bool,
}

/// What a run knows of the two members.
#[derive(Clone, Copy, Debug, Default)]
struct KnownMembers {
    old: Option<u64>,
    new: Option<u64>,
    /// Whether this run has removed the old member.
    is_removed: bool,
}

/// The two members in the cluster as it is.
struct ReplacePair<'a> {
    old: Option<&'a MemberView>,
    new: Option<&'a MemberView>,
}

impl<'a> ReplacePair<'a> {
    /// As [`ReplacePair::find`], in a run that has added or promoted the new member, or removed the old one.
    fn find_again(view: &'a ClusterView, args: &ReplaceMember, known: &KnownMembers) -> Result<Self, Failure> {
        let KnownMembers { old, new, is_removed } = *known;
        if new.is_none() && !is_removed {
            return Self::find(view, args);
        }
        let same = |id: Option<u64>| view.members.iter().find(|view| Some(view.member.id) == id);
        let holds = |view: &&MemberView| args.peer_urls.iter().any(|url| has_url(view, &url.endpoint));
        let new = if new.is_some() { same(new) } else { view.members.iter().find(holds) };
        Ok(Self { old: if is_removed { None } else { same(old) }, new })
    }

    fn find(view: &'a ClusterView, args: &ReplaceMember) -> Result<Self, Failure> {
        let holds = |view: &&MemberView| args.peer_urls.iter().any(|url| has_url(view, &url.endpoint));
        let holder = view.members.iter().find(holds);
        let others: Vec<&MemberView> =
            view.members.iter().filter(|view| holder.is_none_or(|holder| holder.member.id != view.member.id)).collect();
        match (find_member(&others, &args.member), holder) {
            (Ok(old), Some(new)) if new.started() && new.member.name != args.name => {
                Err(Failure::conflict(format!("member {} has one of these peer URLs", new.label()))
                    .context(format!("{} was not replaced", old.label())))
            }
            (Ok(old), new) => Ok(Self { old: Some(old), new }),
            (Err(failure), _) if failure.exit != Exit::No => Err(failure),
            (Err(failure), None) => Err(failure.hint(format!(
                "if an earlier run has removed it, add the new member: 'kvadm member add {} --peer-urls {} --learner'",
                args.name,
                texts(&args.peer_urls).join(",")
            ))),
            // The old member itself has the URL: the new one takes its place at the same address.
            (Err(_), Some(one)) if !one.member.learner && find_member(&[one], &args.member).is_ok() => {
                if one.answers && one.member.name == args.name {
                    return Err(Failure::conflict(format!("{} has this name and URL, and answers", one.label()))
                        .context("nothing to replace")
                        .hint("to replace it by an empty one at the same URL, stop its process first"));
                }
                Ok(Self { old: Some(one), new: None })
            }
            (Err(failure), Some(new)) if new.started() && new.member.name != args.name => Err(failure),
            (Err(_), new) => Ok(Self { old: None, new }),
        }
    }

    fn state(&self, view: &ClusterView, args: &ReplaceMember) -> ReplaceState {
        let shares = |old: &MemberView| args.peer_urls.iter().any(|url| has_url(old, &url.endpoint));
        ReplaceState {
            old: self.old.map(|old| OldMember { answers: old.answers, leads: old.member.id == view.leader }),
            new: self.new.map(|new| NewMember { learner: new.member.learner }),
            count: view.count(),
            same_url: self.old.is_some_and(shares),
        }
    }
}

/// Replaces a member.
pub async fn run(ctx: &Context, args: &ReplaceMember) -> Result<Exit, Failure> {
    check_free(&args.peer_urls, [])?;
    let view = ClusterView::load(ctx).await?;
    let pair = ReplacePair::find(&view, args)?;
    let state = pair.state(&view, args);
    let steps = MemberSteps { ctx, force: args.force };
    check(ctx, &view, &pair, args)?;
    if state.next().is_none() {
        ctx.out.note(&format!("nothing to do: {} is a voter, and the old member is removed", args.name));
        if let Some(new) = pair.new {
            steps.report("unchanged", &new.member, None)?;
        }
        return Ok(Exit::Done);
    }
    let old_name = pair.old.map_or_else(|| args.member.clone(), MemberView::name);
    let plan = plan(&view, &state, &old_name, args)?;
    for sentence in &plan {
        ctx.out.note(sentence);
    }
    if ctx.safety.dry_run {
        return dry_run(ctx, &view, &pair, &state, args);
    }
    let old_label = pair.old.map_or_else(|| old_name.clone(), MemberView::label);
    let question = format!("Replace member {old_label} of cluster {:x} by {}", view.cluster, args.name);
    let consent = ctx.consent(&question)?;
    Replacement { steps, args, consent, old_name, known: KnownMembers::default() }.execute(view).await?;
    ctx.out.note(&format!("{} has replaced {old_label}", args.name));
    Ok(Exit::Done)
}

/// What speaks against the replacement, whatever its steps are.
fn check(ctx: &Context, view: &ClusterView, pair: &ReplacePair<'_>, args: &ReplaceMember) -> Result<(), Failure> {
    if let Some(old) = pair.old.filter(|old| old.member.learner) {
        return Err(Failure::conflict(format!("{} is a learner, which has no vote to pass on", old.label()))
            .hint("remove it with 'kvadm member remove', and add another one with 'kvadm member add --learner'"));
    }
    let ids = [pair.old, pair.new].map(|one| one.map(|view| view.member.id));
    let others = || view.members.iter().filter(|view| !ids.contains(&Some(view.member.id)));
    check_free(&args.peer_urls, others())?;
    if let Some(taken) = others().find(|view| view.member.name == args.name) {
        return Err(Failure::conflict(format!("member {} has the name {}", taken.label(), args.name)));
    }
    let down = view.voters_down(pair.old.map_or(0, |old| old.member.id));
    if let Some(down) = down.first().filter(|_| pair.new.is_none() && !args.force) {
        return Err(Failure::conflict(format!("voter {} does not answer either", down.label()))
            .context("refused: etcd adds a member only while all other voters are connected")
            .hint("start it again, or remove it first: 'kvadm member remove MEMBER'")
            .hint("add --force to try all the same; etcd may refuse it"));
    }
    if pair.new.is_none() {
        for warning in warnings(&args.name, &args.peer_urls, others()) {
            ctx.out.warn(&warning);
        }
    }
    Ok(())
}

/// The steps in sentences.
///
/// # Errors
/// A conflict, if a step would cost the quorum.
fn plan(view: &ClusterView, start: &ReplaceState, old: &str, args: &ReplaceMember) -> Result<Vec<String>, Failure> {
    let mut state = *start;
    let mut sentences = Vec::new();
    if start.old.is_some_and(|old| !old.answers) {
        sentences.push(format!("{old} does not answer and is removed first: that costs no voter that answers"));
    }
    for (at, step) in start.steps().into_iter().enumerate() {
        let new = &args.name;
        let what = match step {
            ReplaceStep::AddLearner => format!("adding {new} as a learner"),
            ReplaceStep::Promote => format!("promoting {new}, when it has caught up,"),
            ReplaceStep::RemoveOld => format!("removing {old}"),
        };
        let judged = judge_counts(state.count, view.only_unstarted_are_missing(), state.change(step), &what);
        if judged.verdict != VoterVerdict::Safe && !args.force {
            let mut failure = Failure::conflict(judged.sentence).context(format!("{old} was not replaced"));
            if state.same_url {
                failure = failure.hint("give the new member another URL, so that both can be members at the same time");
            }
            return Err(failure.hint("add --force to try all the same; etcd may refuse it"));
        }
        sentences.push(format!("step {}: {}", at + 1, judged.sentence));
        state = state.after(step);
    }
    Ok(sentences)
}

fn dry_run(
    ctx: &Context,
    view: &ClusterView,
    pair: &ReplacePair<'_>,
    start: &ReplaceState,
    args: &ReplaceMember,
) -> Result<Exit, Failure> {
    let urls = texts(&args.peer_urls);
    let mut state = *start;
    let mut members: Vec<Member> = view.members.iter().map(|view| view.member.clone()).collect();
    let blank = MembershipRow { name: &args.name, peer_urls: &urls, dry_run: true, ..MembershipRow::default() };
    for step in start.steps() {
        state = state.after(step);
        let voters = Some((state.count.voters, state.count.answering));
        match step {
            ReplaceStep::AddLearner => {
                let row = MembershipRow { outcome: "would-add", learner: Some(true), voters, ..blank };
                NewProcess::new(&args.name, &urls, &members).print(ctx, &row)?;
            }
            ReplaceStep::Promote => {
                let member = pair.new.map(|new| new.member.id);
                ctx.out.one(&MembershipRow { outcome: "would-promote", member, voters, ..blank })?;
            }
            ReplaceStep::RemoveOld => {
                let Some(old) = pair.old else { continue };
                members.retain(|member| member.id != old.member.id);
                MemberSteps { ctx, force: args.force }.report("would-remove", &old.member, voters)?;
            }
        }
    }
    ctx.out.note(&format!("dry run: nothing was changed in cluster {:x}", view.cluster));
    Ok(Exit::Done)
}

/// The steps, one after the other, each on the cluster as it is by then.
struct Replacement<'a> {
    steps: MemberSteps<'a>,
    args: &'a ReplaceMember,
    consent: Consent,
    old_name: String,
    known: KnownMembers,
}

impl Replacement<'_> {
    async fn execute(mut self, mut view: ClusterView) -> Result<(), Failure> {
        loop {
            let pair = ReplacePair::find_again(&view, self.args, &self.known)?;
            let ids = [pair.old, pair.new].map(|one| one.map(|view| view.member.id));
            self.known = KnownMembers { old: ids[0], new: ids[1], ..self.known };
            let Some(step) = pair.state(&view, self.args).next() else { return Ok(()) };
            match (step, pair.old, pair.new) {
                (ReplaceStep::RemoveOld, Some(old), _) => {
                    check_removal(&self.steps, &view, old)?;
                    self.steps.remove(&view, &self.consent, old).await?;
                    self.known.is_removed = true;
                }
                (ReplaceStep::AddLearner, ..) => {
                    let (name, urls) = (&self.args.name, &self.args.peer_urls);
                    let added = async {
                        check_add(&self.steps, &view, name, true)?;
                        self.steps.add(&view, name, urls, true).await
                    };
                    let id = added.await.map_err(|failure| self.with_remains(failure))?;
                    self.known.new = Some(id);
                }
                (ReplaceStep::Promote, _, Some(new)) => self.promote(new).await?,
                // The plan has no step for a member that is not there.
                _ => return Ok(()),
            }
            view = ClusterView::load(self.steps.ctx).await.map_err(|failure| self.with_remains(failure))?;
        }
    }

    async fn promote(&self, new: &MemberView) -> Result<(), Failure> {
        let (ctx, name, id) = (self.steps.ctx, &self.args.name, new.member.id);
        let remains = self.remains(true);
        if !new.started() {
            let member = MemberWait::new(ctx, self.args.wait, remains.clone()).started(id, name).await?;
            ctx.out.note(&format!("{name} has started"));
            self.steps.report("started", &member, None)?;
        }
        promote_when_ready(&self.steps, id, name, Some(self.args.wait), remains).await
    }

    fn with_remains(&self, failure: Failure) -> Failure {
        self.remains(false).into_iter().fold(failure, Failure::hint)
    }

    /// What to run to go on.
    fn remains(&self, added: bool) -> Vec<String> {
        let (ctx, urls) = (self.steps.ctx, texts(&self.args.peer_urls).join(","));
        let name = self.args.name.as_str();
        if self.known.is_removed && !added {
            let line = ctx.command_line(&["member", "add"]).key(name.as_bytes()).words([
                "--peer-urls",
                urls.as_str(),
                "--learner",
            ]);
            return vec![
                format!("{} is removed; the new member is not added yet", self.old_name),
                format!("to go on: '{line}', and then 'kvadm member promote' when it has started"),
            ];
        }
        let line = ctx.command_line(&["member", "replace"]).key(self.args.member.as_bytes()).words([
            "--name",
            name,
            "--peer-urls",
            urls.as_str(),
        ]);
        let state = if added { format!("{name} is added as a learner: start its process") } else { String::new() };
        let mut remains: Vec<String> = Some(state).filter(|state| !state.is_empty()).into_iter().collect();
        remains.push(format!("to go on: '{line}'"));
        remains
    }
}
