//! What a change of the membership means for the quorum, in words, and whether it is allowed.

use super::view::ClusterView;
use crate::context::Context;
use crate::error::Failure;
use crate::health::{VoterChange, VoterCount, VoterVerdict};
use crate::plural::counted;

/// A change that was judged.
pub struct JudgedChange {
    /// `3 of 4 voters started; removing m2 leaves 2 of 3: one more failure stops the cluster`.
    pub sentence: String,
    /// The counts after the change.
    pub after: VoterCount,
    pub verdict: VoterVerdict,
    /// Whether the change makes the number of voters even.
    makes_even: bool,
}

/// Judges a change of the cluster; `what` names it: `removing m2`.
pub fn judge(view: &ClusterView, change: VoterChange, what: &str) -> JudgedChange {
    judge_counts(view.count(), view.only_unstarted_are_missing(), change, what)
}

/// As [`judge`]. `started`: whether all voters that have started answer.
pub fn judge_counts(before: VoterCount, started: bool, change: VoterChange, what: &str) -> JudgedChange {
    let after = before.after(change);
    let now = voter_state(before, started);
    let sentence = match change {
        VoterChange::Learner => format!("{now}; {what} does not change that"),
        VoterChange::AddVoter | VoterChange::Promote { .. } => {
            format!("{now}; {what} makes it {}: {}", after.fraction(), after.meaning())
        }
        VoterChange::Remove { .. } => format!("{now}; {what} leaves {}: {}", after.fraction(), after.meaning()),
        VoterChange::Readdress { .. } if before.voters <= 1 => format!("{now}; {what} does not change that"),
        VoterChange::Readdress { .. } => format!(
            "{now}; if the others do not reach the member after {what}, {} are left: {}",
            after.fraction(),
            after.meaning()
        ),
    };
    let makes_even = after.voters > before.voters && after.is_even();
    JudgedChange { sentence, after, verdict: before.judge(change), makes_even }
}

/// `3 of 4 voters started`, or `3 of 4 voters answer` if a voter that has started does not.
pub fn voter_state(count: VoterCount, started: bool) -> String {
    let noun = if count.voters == 1 { "voter" } else { "voters" };
    let verb = match (started, count.answering) {
        (true, _) => "started",
        (false, 1) => "answers",
        (false, _) => "answer",
    };
    format!("{} {noun} {verb}", count.fraction())
}

/// `4 voters tolerate 1 failure, like 3 voters`: what an even number of voters means.
fn even_voters(count: VoterCount) -> String {
    let failures = match count.voters.saturating_sub(count.quorum()) {
        0 => "no failure".to_owned(),
        tolerated => counted(tolerated, "failure"),
    };
    let fewer = counted(count.voters.saturating_sub(1), "voter");
    format!("{} tolerate {failures}, like {fewer}", counted(count.voters, "voter"))
}

impl JudgedChange {
    /// The change is a step of a replacement: an even number of voters does not last.
    pub fn followed_by_removal(self) -> Self {
        Self { makes_even: false, ..self }
    }

    /// Says what the change means. Refuses it if it costs the quorum, unless it is forced.
    ///
    /// # Errors
    /// [`Failure::conflict`].
    pub fn enforce(&self, ctx: &Context, view: &ClusterView, force: bool) -> Result<(), Failure> {
        let refused = |why: &str| Failure::conflict(self.sentence.clone()).context(why.to_owned());
        let failure = match self.verdict {
            VoterVerdict::Safe => {
                ctx.out.note(&self.sentence);
                if self.makes_even {
                    ctx.out.warn(&even_voters(self.after));
                }
                return Ok(());
            }
            VoterVerdict::LastVoter => {
                return Err(Failure::conflict("a cluster without voters cannot work")
                    .context("the last voter cannot be removed")
                    .hint("to end the cluster, stop its process and delete its data folder")
                    .hint("to move it, run 'kvadm member replace MEMBER --name NEW --peer-urls URL'"));
            }
            VoterVerdict::LosesQuorum => refused("refused: the cluster would lose its quorum"),
            VoterVerdict::NoQuorum if !view.leader_answers() => {
                refused("refused: the cluster has no leader at the moment")
                    .hint("run the command again in some seconds; 'kvadm status' shows whether there is a leader")
            }
            VoterVerdict::NoQuorum => refused("refused: too few voters answer kvadm")
                .hint("the cluster has a quorum: add addresses to --endpoints at which kvadm reaches the voters"),
            VoterVerdict::VoterDown => {
                let down: Vec<String> = view.voters_down(0).iter().map(|view| view.label()).collect();
                refused(&format!("refused: a voter is down: {}", down.join(", "))).hint(
                    "start it again, or replace it first: 'kvadm member replace MEMBER --name NEW --peer-urls URL'",
                )
            }
        };
        if !force {
            return Err(failure.hint("add --force to send the request all the same; etcd may refuse it"));
        }
        ctx.out.warn(&self.sentence);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences() {
        let of = |voters, answering, started, change, what| {
            judge_counts(VoterCount { voters, answering }, started, change, what).sentence
        };
        assert_eq!(
            of(4, 3, true, VoterChange::Remove { answers: true }, "removing m2"),
            "3 of 4 voters started; removing m2 leaves 2 of 3: one more failure stops the cluster"
        );
        assert_eq!(
            of(3, 1, false, VoterChange::Promote { answers: true }, "promoting m4"),
            "1 of 3 voters answers; promoting m4 makes it 2 of 4: the cluster stops, because 3 are needed"
        );
        assert_eq!(
            of(1, 1, true, VoterChange::AddVoter, "adding m2 as a voter"),
            "1 of 1 voter started; adding m2 as a voter makes it 1 of 2: the cluster stops, because 2 are needed"
        );
        assert_eq!(
            of(3, 3, true, VoterChange::Learner, "adding m4 as a learner"),
            "3 of 3 voters started; adding m4 as a learner does not change that"
        );
        for (voters, text) in [
            (2, "2 voters tolerate no failure, like 1 voter"),
            (4, "4 voters tolerate 1 failure, like 3 voters"),
            (6, "6 voters tolerate 2 failures, like 5 voters"),
        ] {
            assert_eq!(even_voters(VoterCount { voters, answering: voters }), text);
        }
    }
}
