//! The arithmetic of the quorum: what a change of the membership leaves of it. Pure.

/// The voters of a cluster. A voter that has not started is one that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoterCount {
    /// All members with a vote.
    pub voters: usize,
    /// Those of them that answer.
    pub answering: usize,
}

/// A change of the membership, as far as it concerns the quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoterChange {
    /// A voter that has not started is added.
    AddVoter,
    /// A learner is added or removed, which has no vote.
    Learner,
    /// A learner becomes a voter.
    Promote {
        /// Whether it answers.
        answers: bool,
    },
    /// A voter is removed.
    Remove {
        /// Whether it answers.
        answers: bool,
    },
    /// A voter gets other peer URLs. In the worst case the others do not reach it there.
    Readdress {
        /// Whether it answers.
        answers: bool,
    },
}

/// What follows from the counts before and after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoterVerdict {
    /// The quorum holds.
    Safe,
    /// Too few voters answer already.
    NoQuorum,
    /// The change costs the quorum.
    LosesQuorum,
    /// The last voter would be removed.
    LastVoter,
    /// A voter is added while another one does not answer: the new one may not start either.
    VoterDown,
}

impl VoterCount {
    /// How many voters must answer.
    pub fn quorum(self) -> usize {
        self.voters / 2 + 1
    }

    /// Whether enough voters answer.
    pub fn has_quorum(self) -> bool {
        self.answering >= self.quorum()
    }

    /// How many more voters may fail; `None` without a quorum.
    pub fn spare(self) -> Option<usize> {
        self.answering.checked_sub(self.quorum())
    }

    /// The counts after a change.
    #[must_use]
    pub fn after(self, change: VoterChange) -> Self {
        let Self { voters, answering } = self;
        let less = |answers: bool| answering.saturating_sub(usize::from(answers));
        match change {
            VoterChange::AddVoter => Self { voters: voters + 1, answering },
            VoterChange::Learner => self,
            VoterChange::Promote { answers } => {
                Self { voters: voters + 1, answering: answering + usize::from(answers) }
            }
            VoterChange::Remove { answers } => Self { voters: voters.saturating_sub(1), answering: less(answers) },
            // A member always reaches itself.
            VoterChange::Readdress { .. } if voters <= 1 => self,
            VoterChange::Readdress { answers } => Self { voters, answering: less(answers) },
        }
    }

    /// Whether a change keeps the quorum.
    pub fn judge(self, change: VoterChange) -> VoterVerdict {
        let after = self.after(change);
        match change {
            VoterChange::Remove { .. } if after.voters == 0 => VoterVerdict::LastVoter,
            _ if !self.has_quorum() => VoterVerdict::NoQuorum,
            _ if !after.has_quorum() => VoterVerdict::LosesQuorum,
            VoterChange::AddVoter if self.answering < self.voters => VoterVerdict::VoterDown,
            _ => VoterVerdict::Safe,
        }
    }

    /// Whether an even number of voters tolerates no more failures than one voter less.
    pub fn is_even(self) -> bool {
        self.voters > 0 && self.voters.is_multiple_of(2)
    }

    /// `2 of 3`.
    pub fn fraction(self) -> String {
        format!("{} of {}", self.answering, self.voters)
    }

    /// What the counts mean: `one more failure stops the cluster`.
    pub fn meaning(self) -> String {
        match self.spare() {
            None => format!("the cluster stops, because {} are needed", self.quorum()),
            Some(0) if self.voters == 1 => "if this voter fails, the cluster stops".to_owned(),
            Some(0) => "one more failure stops the cluster".to_owned(),
            Some(1) => "one more voter may fail".to_owned(),
            Some(spare) => format!("{spare} more voters may fail"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether the members with a vote that are up are a majority of those with a vote.
    fn is_majority(votes: &[bool], up: &[bool]) -> bool {
        let voters = votes.iter().filter(|vote| **vote).count();
        let answering = votes.iter().zip(up).filter(|(vote, up)| **vote && **up).count();
        2 * answering > voters
    }

    fn count(votes: &[bool], up: &[bool]) -> VoterCount {
        VoterCount {
            voters: votes.iter().filter(|vote| **vote).count(),
            answering: votes.iter().zip(up).filter(|(vote, up)| **vote && **up).count(),
        }
    }

    /// The largest number of voters that may fail in addition, whichever they are: tried with all subsets.
    fn spare_by_force(votes: &[bool], up: &[bool]) -> Option<usize> {
        let running: Vec<usize> = (0..votes.len()).filter(|at| votes[*at] && up[*at]).collect();
        let survives = |size: usize| {
            (0_u32..1 << running.len()).filter(|failed| failed.count_ones() as usize == size).all(|failed| {
                let mut up = up.to_vec();
                for (bit, at) in running.iter().enumerate() {
                    up[*at] &= failed & (1 << bit) == 0;
                }
                is_majority(votes, &up)
            })
        };
        (0..=running.len()).take_while(|size| survives(*size)).last()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Members with or without a vote, up or not; the figures agree with trying every failure.
        #[test]
        fn the_arithmetic_agrees_with_all_subsets_of_failed_members(
            members in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..8),
            at in any::<prop::sample::Index>(),
            kind in 0..4,
        ) {
            let (mut votes, mut up): (Vec<bool>, Vec<bool>) = members.into_iter().unzip();
            let before = count(&votes, &up);
            prop_assert_eq!(before.spare(), spare_by_force(&votes, &up).filter(|_| before.voters > 0));
            prop_assert_eq!(before.has_quorum(), is_majority(&votes, &up));
            let had_quorum = is_majority(&votes, &up);
            let (at, was_down) = (at.index(votes.len()), before.answering < before.voters);
            let answers = up[at];
            let change = match (kind, votes[at]) {
                (0, _) => {
                    votes.push(true);
                    up.push(false);
                    VoterChange::AddVoter
                }
                (1, true) => {
                    votes.remove(at);
                    up.remove(at);
                    VoterChange::Remove { answers }
                }
                (2, false) => {
                    votes[at] = true;
                    VoterChange::Promote { answers }
                }
                (3, true) if before.voters > 1 => {
                    up[at] = false;
                    VoterChange::Readdress { answers }
                }
                _ => VoterChange::Learner,
            };
            let after = before.after(change);
            prop_assert_eq!(after, count(&votes, &up));
            prop_assert_eq!(after.spare(), spare_by_force(&votes, &up).filter(|_| after.voters > 0));
            let holds = is_majority(&votes, &up);
            let expected = match change {
                VoterChange::Remove { .. } if after.voters == 0 => VoterVerdict::LastVoter,
                _ if !had_quorum => VoterVerdict::NoQuorum,
                _ if !holds => VoterVerdict::LosesQuorum,
                VoterChange::AddVoter if was_down => VoterVerdict::VoterDown,
                _ => VoterVerdict::Safe,
            };
            prop_assert_eq!(before.judge(change), expected);
        }

        /// The removal of a voter that does not answer never lowers the number of failures that the cluster survives.
        #[test]
        fn removing_a_dead_voter_is_never_a_risk(voters in 2_usize..12, answering in 0_usize..12) {
            let before = VoterCount { voters, answering: answering.min(voters - 1) };
            let after = before.after(VoterChange::Remove { answers: false });
            prop_assert!(after.spare() >= before.spare());
        }
    }

    #[test]
    fn the_counts_in_words() {
        let meaning = |voters, answering| VoterCount { voters, answering }.meaning();
        assert_eq!(meaning(3, 2), "one more failure stops the cluster");
        assert_eq!(meaning(3, 3), "one more voter may fail");
        assert_eq!(meaning(5, 5), "2 more voters may fail");
        assert_eq!(meaning(1, 1), "if this voter fails, the cluster stops");
        assert_eq!(meaning(2, 1), "the cluster stops, because 2 are needed");
        assert_eq!(VoterCount { voters: 3, answering: 2 }.fraction(), "2 of 3");
        assert!(VoterCount { voters: 4, answering: 4 }.is_even() && !VoterCount { voters: 0, answering: 0 }.is_even());
    }
}
