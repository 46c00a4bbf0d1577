//! The order of the steps that put a new member in the place of an old one. Pure.
//!
//! The next step follows from the cluster as it is, so that a run that was interrupted is continued by the next one.

use crate::health::{VoterChange, VoterCount};

/// The member that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldMember {
    pub answers: bool,
    pub leads: bool,
}

/// The member that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewMember {
    pub learner: bool,
}

/// The cluster, as far as the plan depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplaceState {
    /// `None` if it is removed.
    pub old: Option<OldMember>,
    /// `None` until it is added.
    pub new: Option<NewMember>,
    pub count: VoterCount,
    /// Whether the two have a peer URL in common, so that they cannot be members at the same time.
    pub same_url: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaceStep {
    AddLearner,
    /// Waits until the learner has caught up, and makes it a voter.
    Promote,
    RemoveOld,
}

impl ReplaceState {
    /// The next step; `None` if all is done.
    ///
    /// An old member that does not answer is removed first: that costs nothing, because it is missing already, and the quorum of
    /// the rest is smaller or as large. etcd also adds no member while a voter is not connected. An old member that answers is
    /// removed last, so that the cluster never has fewer voters that answer than before.
    pub fn next(&self) -> Option<ReplaceStep> {
        match (self.old, self.new) {
            (Some(old), _) if !old.answers || self.same_url => Some(ReplaceStep::RemoveOld),
            (_, None) => Some(ReplaceStep::AddLearner),
            (_, Some(new)) if new.learner => Some(ReplaceStep::Promote),
            (Some(_), Some(_)) => Some(ReplaceStep::RemoveOld),
            (None, Some(_)) => None,
        }
    }

    /// What a step is to the quorum.
    pub fn change(&self, step: ReplaceStep) -> VoterChange {
        match step {
            ReplaceStep::AddLearner => VoterChange::Learner,
            ReplaceStep::Promote => VoterChange::Promote { answers: true },
            ReplaceStep::RemoveOld => VoterChange::Remove { answers: self.old.is_some_and(|old| old.answers) },
        }
    }

    /// The state after a step.
    pub fn after(mut self, step: ReplaceStep) -> Self {
        self.count = self.count.after(self.change(step));
        match step {
            ReplaceStep::AddLearner => self.new = Some(NewMember { learner: true }),
            ReplaceStep::Promote => self.new = Some(NewMember { learner: false }),
            ReplaceStep::RemoveOld => self.old = None,
        }
        self
    }

    /// All steps that are left.
    pub fn steps(self) -> Vec<ReplaceStep> {
        let mut steps = Vec::new();
        let mut state = self;
        while let Some(step) = state.next() {
            steps.push(step);
            state = state.after(step);
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::health::VoterVerdict;

    proptest! {
        /// From any cluster with a quorum the steps end, no step costs the quorum, and none is judged unsafe. Unless both have the
        /// same URL, the cluster never tolerates fewer failures than before, and more in the end if the old member was dead.
        #[test]
        fn no_step_puts_the_quorum_at_risk(
            voters in 1_usize..10,
            down in 0_usize..5,
            answers in any::<bool>(),
            leads in any::<bool>(),
            new in prop::option::of(Just(NewMember { learner: true })),
        ) {
            let old = OldMember { answers, leads: leads && answers };
            let down = down.max(usize::from(!answers));
            prop_assume!(down < voters || voters == down && !answers);
            let count = VoterCount { voters, answering: voters.saturating_sub(down) };
            prop_assume!(count.has_quorum());
            let start = ReplaceState { old: Some(old), new, count, same_url: false };
            let steps = start.steps();
            prop_assert!(steps.len() <= 3);
            let mut state = start;
            for step in steps {
                prop_assert_eq!(state.count.judge(state.change(step)), VoterVerdict::Safe, "{:?} {:?}", state, step);
                state = state.after(step);
                prop_assert!(state.count.spare() >= count.spare());
            }
            prop_assert_eq!((state.old, state.new), (None, Some(NewMember { learner: false })));
            prop_assert_eq!(state.count.voters, voters);
            prop_assert_eq!(state.count.answering, count.answering + usize::from(!answers));
        }
    }

    #[test]
    fn the_order_of_the_steps() {
        let count = VoterCount { voters: 3, answering: 3 };
        let alive = OldMember { answers: true, leads: false };
        let start = ReplaceState { old: Some(alive), new: None, count, same_url: false };
        assert_eq!(start.steps(), [ReplaceStep::AddLearner, ReplaceStep::Promote, ReplaceStep::RemoveOld]);
        let dead = Some(OldMember { answers: false, leads: false });
        let count = VoterCount { voters: 3, answering: 2 };
        let start = ReplaceState { old: dead, count, ..start };
        assert_eq!(start.steps(), [ReplaceStep::RemoveOld, ReplaceStep::AddLearner, ReplaceStep::Promote]);
        let voter = Some(NewMember { learner: false });
        assert_eq!(ReplaceState { old: Some(alive), new: voter, ..start }.steps(), [ReplaceStep::RemoveOld]);
        assert_eq!(ReplaceState { old: None, new: voter, ..start }.steps(), []);
    }
}
