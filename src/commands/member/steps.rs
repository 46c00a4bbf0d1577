//! The single steps that change the membership: each says what it means, is sent once, and is reported.

use std::time::Duration;

use tokio::time::Instant;

use super::judge::judge;
use super::urls::{PeerUrl, texts};
use super::view::{ClusterView, MemberView};
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::VoterChange;
use crate::kvstore::{ChangeEvidence, Error, Member, Refusal};
use crate::output::MembershipRow;
use crate::shell;

/// etcd refuses a change until all voters have been connected for five seconds (`HealthInterval` in its
/// `server/etcdserver/server.go`), which a member that has just started has not been.
const SETTLE_LIMIT: Duration = Duration::from_secs(15);
const NOTE_AFTER: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// What the steps of a verb share.
pub struct MemberSteps<'a> {
    pub ctx: &'a Context,
    /// Whether a refusal of the quorum's arithmetic is only a warning.
    pub force: bool,
}

impl MemberSteps<'_> {
    /// Adds a member and prints what its process needs. Returns its ID.
    pub async fn add(&self, view: &ClusterView, name: &str, urls: &[PeerUrl], learner: bool) -> Result<u64, Failure> {
        let (ctx, texts) = (self.ctx, texts(urls));
        let sent = self.settled(view, async || ctx.store().member_add(&texts, learner).await);
        let added = sent.await.map_err(|error| explained(error, format!("member {name} was not added")))?;
        note_evidence(ctx, added.evidence);
        let as_what = if learner { " as a learner" } else { "" };
        ctx.out.note(&format!("added member {name} ({:x}){as_what} to cluster {:x}", added.id, view.cluster));
        let members: Vec<Member> = view.members.iter().map(|view| view.member.clone()).collect();
        let process = NewProcess::new(name, &texts, &members);
        let count = view.count().after(if learner { VoterChange::Learner } else { VoterChange::AddVoter });
        process.print(
            ctx,
            &MembershipRow {
                outcome: "added",
                member: Some(added.id),
                name,
                peer_urls: &texts,
                learner: Some(learner),
                voters: Some((count.voters, count.answering)),
                ..MembershipRow::default()
            },
        )?;
        Ok(added.id)
    }

    /// Makes a learner a voter.
    pub async fn promote(&self, view: &ClusterView, target: &MemberView) -> Result<(), Failure> {
        let (ctx, id) = (self.ctx, target.member.id);
        let label = target.label();
        let sent = self.settled(view, async || ctx.store().member_promote(id).await);
        let evidence = sent.await.map_err(|error| explained(error, format!("member {label} was not promoted")))?;
        note_evidence(ctx, evidence);
        ctx.out.note(&format!("promoted {label} to a voter"));
        let count = view.count().after(VoterChange::Promote { answers: target.answers });
        self.report("promoted", &target.member, Some((count.voters, count.answering)))
    }

    /// Removes a member; moves leadership away before, if it leads and another voter can.
    pub async fn remove(&self, view: &ClusterView, consent: &Consent, target: &MemberView) -> Result<(), Failure> {
        let (ctx, id) = (self.ctx, target.member.id);
        if view.leader == id {
            match view.best_leader(id) {
                Some(to) => {
                    if let Err(failure) = self.move_leader(view, to).await {
                        if failure.exit == Exit::Interrupted {
                            return Err(failure);
                        }
                        ctx.out.warn(&format!("leadership stays until the removal: {}", failure.one_line()));
                    }
                }
                None => ctx.out.note("no other member can lead before the removal"),
            }
        }
        let label = target.label();
        let sent = self.settled(view, async || ctx.store().member_remove(consent, id).await);
        let evidence = sent.await.map_err(|error| explained(error, format!("member {label} was not removed")))?;
        note_evidence(ctx, evidence);
        ctx.out.note(&format!("removed member {label} from cluster {:x}", view.cluster));
        let count = view.count().after(removal(target));
        self.report("removed", &target.member, Some((count.voters, count.answering)))
    }

    /// Moves leadership to this voter. The request goes to the leader.
    pub async fn move_leader(&self, view: &ClusterView, to: &MemberView) -> Result<(), Failure> {
        let ctx = self.ctx;
        let label = to.label();
        let failed = format!("leadership was not moved to {label}");
        let address = view.find(view.leader).and_then(|leader| leader.address.as_ref());
        let Some(address) = address else {
            return Err(Failure::new(
                Exit::Unreachable,
                "kvadm does not reach the leader, which must move the leadership",
            )
            .context(failed)
            .hint("add the leader's address to --endpoints; 'kvadm status' shows which members are up"));
        };
        let moved = ctx.store().member(address).transfer_leadership(to.member.id).await;
        let evidence = moved.map_err(|error| explained(error, failed))?;
        note_evidence(ctx, evidence);
        let from = view.find(view.leader).map_or_else(String::new, |leader| format!(" from {}", leader.label()));
        ctx.out.note(&format!("moved leadership{from} to {label}"));
        self.report("leader-moved", &to.member, None)
    }

    /// Reports a step, or one that a dry run would do.
    pub fn report(
        &self,
        outcome: &'static str,
        member: &Member,
        voters: Option<(usize, usize)>,
    ) -> Result<(), Failure> {
        let row = MembershipRow {
            outcome,
            member: Some(member.id),
            name: &member.name,
            peer_urls: &member.peer_urls,
            learner: None,
            voters,
            dry_run: self.ctx.safety.dry_run,
            ..MembershipRow::default()
        };
        self.ctx.out.one(&row)?;
        Ok(())
    }

    /// Sends a change; again, for a limited time, if etcd refuses it because voters have not been connected long enough.
    async fn settled<T>(&self, view: &ClusterView, send: impl AsyncFn() -> Result<T, Error>) -> Result<T, Failure> {
        let started = Instant::now();
        let can_settle = view.voters_down(0).is_empty();
        let mut noted = false;
        loop {
            match send().await {
                Err(error) if error.is_refusal(Refusal::UnhealthyCluster) && can_settle => {
                    if started.elapsed() >= SETTLE_LIMIT {
                        return Err(error.into());
                    }
                }
                other => return other.map_err(Failure::from),
            }
            if started.elapsed() >= NOTE_AFTER && !std::mem::replace(&mut noted, true) {
                self.ctx.out.note("waiting for etcd: it changes members only while all voters are connected for 5s");
            }
            self.ctx.sleep(POLL_INTERVAL).await?;
        }
    }
}

/// What the removal of this member is to the quorum.
pub fn removal(target: &MemberView) -> VoterChange {
    if target.member.learner { VoterChange::Learner } else { VoterChange::Remove { answers: target.answers } }
}

/// Judges the removal of a member, and says so.
///
/// # Errors
/// A conflict, if the quorum would be lost.
pub fn check_removal(steps: &MemberSteps<'_>, view: &ClusterView, target: &MemberView) -> Result<String, Failure> {
    let judged = judge(view, removal(target), &format!("removing {}", target.name()));
    judged.enforce(steps.ctx, view, steps.force)?;
    Ok(judged.sentence)
}

fn note_evidence(ctx: &Context, evidence: ChangeEvidence) {
    if evidence == ChangeEvidence::ReadBack {
        ctx.out.note("the answer was lost, but the cluster shows that the change is done");
    }
}

/// An error of a change: what was not done, and what to run next.
pub fn explained(error: impl Into<Failure>, what: String) -> Failure {
    let failure: Failure = error.into();
    if failure.maybe_applied() {
        let look =
            "run 'kvadm member list' before you retry: etcd may have changed the members, or may still change them";
        return Failure { hints: vec![look.to_owned()], ..failure };
    }
    if failure.store_error().is_some_and(|error| error.is_refusal(Refusal::Permission)) {
        let hints = vec!["etcd allows only users with the role root to change members".to_owned()];
        return Failure { hints, ..failure }.context(what);
    }
    failure.context(what)
}

/// What the process of a new member needs.
pub struct NewProcess {
    /// The names and values of environment variables.
    environment: [(&'static str, String); 4],
    command: String,
}

impl NewProcess {
    /// `members`: those of the cluster before.
    pub fn new(name: &str, peer_urls: &[String], members: &[Member]) -> Self {
        let others = members.iter().filter(|member| member.peer_urls.iter().all(|url| !peer_urls.contains(url)));
        let mut initial: Vec<String> = Vec::new();
        for member in others {
            // etcd compares only the URLs of the others.
            let name = if member.name.is_empty() { format!("{:x}", member.id) } else { member.name.clone() };
            initial.extend(member.peer_urls.iter().map(|url| format!("{name}={url}")));
        }
        initial.extend(peer_urls.iter().map(|url| format!("{name}={url}")));
        let (initial, urls) = (initial.join(","), peer_urls.join(","));
        let command = shell::line([
            "etcd",
            "--name",
            name,
            "--initial-cluster",
            &initial,
            "--initial-advertise-peer-urls",
            &urls,
            "--initial-cluster-state",
            "existing",
        ]);
        let environment = [
            ("ETCD_NAME", name.to_owned()),
            ("ETCD_INITIAL_CLUSTER", initial),
            ("ETCD_INITIAL_ADVERTISE_PEER_URLS", urls),
            ("ETCD_INITIAL_CLUSTER_STATE", "existing".to_owned()),
        ];
        Self { environment, command }
    }

    /// Prints the row with the environment and the command line: in text, lines that a shell and systemd read.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn print(&self, ctx: &Context, row: &MembershipRow<'_>) -> Result<(), Failure> {
        if ctx.out.is_data() {
            let environment: Vec<String> =
                self.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
            ctx.out.one(&MembershipRow { environment: &environment, command: Some(&self.command), ..*row })?;
        } else {
            let mut text = String::new();
            for (name, value) in &self.environment {
                let quoted = shell::quote(value.as_bytes());
                let quoted = if quoted == *value { format!("\"{value}\"") } else { quoted };
                text.push_str(&format!("{name}={quoted}\n"));
            }
            text.push_str(&format!("# or: {}\n", self.command));
            ctx.out.bytes(text.as_bytes())?;
        }
        ctx.out.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::find::tests::view;
    use super::*;

    #[test]
    fn the_new_process_gets_all_members() {
        let members: Vec<Member> =
            [view(1, "m1", 2380), view(0xb2, "", 2480)].into_iter().map(|view| view.member).collect();
        let process = NewProcess::new("m3", &["http://h:1".to_owned(), "http://h:2".to_owned()], &members);
        let [_, (_, initial), (_, urls), _] = &process.environment;
        assert_eq!(initial, "m1=http://10.0.0.1:2380,b2=http://10.0.0.1:2480,m3=http://h:1,m3=http://h:2");
        assert_eq!(urls, "http://h:1,http://h:2");
        assert!(process.command.starts_with("etcd --name m3 --initial-cluster m1="), "{}", process.command);
    }

    #[test]
    fn a_hostile_name_is_quoted() {
        let mut other = view(1, "m\u{1b}]0;x\u{7}'$(id)", 2380).member;
        other.peer_urls = vec!["http://h:1".to_owned()];
        let process = NewProcess::new("m3", &["http://h:2".to_owned()], &[other]);
        assert!(process.command.contains(r"$'m\x1b]0;x\x07\'$(id)=http://h:1"), "{}", process.command);
    }
}
