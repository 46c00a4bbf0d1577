//! Advice about a cluster: rules over what its members say. Pure.
//!
//! A rule says only what the facts tell: each piece of advice has a severity, and says how sure it is.

mod capacity;
mod exposure;
mod facts;
mod topology;
mod version;

pub use facts::{
    Certainty, ClusterFacts, DataComparison, LoginNeed, MemberFacts, NextCommand, Recommendation, Urgency,
};

/// All advice, the most urgent and most certain first.
pub fn advise(facts: &ClusterFacts) -> Vec<Recommendation> {
    let mut found = Vec::new();
    topology::judge(facts, &mut found);
    capacity::judge(facts, &mut found);
    version::judge(facts, &mut found);
    exposure::judge(facts, &mut found);
    found.sort_by_key(|one| (one.urgency, one.certainty));
    found
}

#[cfg(test)]
mod tests;
