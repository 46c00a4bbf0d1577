//! Judges a target by the versions that the members run. Pure. etcd itself judges by the version of the cluster, which is the
//! lowest that a member has run since the last downgrade was enabled.

use crate::kvstore::{minor_version, previous_version};

/// The last minor version without downgrades: it does not start in a cluster of the next one.
const LAST_WITHOUT_DOWNGRADES: (u64, u64) = (3, 4);

/// An endpoint and the version of its member.
pub type Running<'a> = (&'a str, &'a str);

/// Why a target that etcd accepts is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DowngradeObjection {
    /// The older version does not start with the data, and the newer one not while the downgrade is enabled.
    LockOut,
    /// A member would have to go back by more than one minor version.
    TooFar {
        /// The newest version that a member runs.
        newest: String,
        /// The endpoints of the members with older versions.
        older: Vec<String>,
    },
}

/// The first two numbers of a version.
pub fn short(version: &str) -> String {
    minor_version(version).map_or_else(|| version.to_owned(), |(major, minor)| format!("{major}.{minor}"))
}

/// The newest minor version that a member runs.
pub fn newest(running: &[Running<'_>]) -> Option<String> {
    let newest = running.iter().max_by_key(|(_, version)| minor_version(version))?;
    minor_version(newest.1).map(|_| short(newest.1))
}

/// The endpoints of the members that run another minor version than this one.
pub fn others(running: &[Running<'_>], version: &str) -> Vec<String> {
    let differs = |(_, other): &&Running<'_>| minor_version(other) != minor_version(version);
    running.iter().filter(differs).map(|(endpoint, _)| (*endpoint).to_owned()).collect()
}

/// The only target that no member objects to.
pub fn possible(running: &[Running<'_>]) -> Option<String> {
    newest(running).as_deref().and_then(previous_version)
}

/// Why the target is refused; `None` if it is not.
pub fn objection(target: &str, running: &[Running<'_>]) -> Option<DowngradeObjection> {
    let goal = minor_version(target)?;
    if let Some(newest) = newest(running)
        && possible(running).is_some_and(|possible| minor_version(&possible) > Some(goal))
    {
        let older = others(running, &newest);
        return Some(DowngradeObjection::TooFar { newest, older });
    }
    (goal <= LAST_WITHOUT_DOWNGRADES).then_some(DowngradeObjection::LockOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_one_minor_version_below_the_newest_member() {
        let mixed = [("a", "3.7.3"), ("b", "3.7.1"), ("c", "3.6.16")];
        assert_eq!(newest(&mixed).as_deref(), Some("3.7"));
        assert_eq!(possible(&mixed).as_deref(), Some("3.6"));
        assert_eq!(objection("3.6", &mixed), None);
        let too_far = DowngradeObjection::TooFar { newest: "3.7".to_owned(), older: vec!["c".to_owned()] };
        assert_eq!(objection("3.5", &mixed), Some(too_far));
        assert_eq!(objection("3.5", &[("a", "3.6.1"), ("b", "3.6.16")]), None);
        assert_eq!(objection("3.5", &[("a", "3.6.0-rc.1"), ("b", "3.5.33")]), None);
    }

    #[test]
    fn version_3_4_is_refused() {
        assert_eq!(objection("3.4", &[("a", "3.5.33")]), Some(DowngradeObjection::LockOut));
        assert_eq!(objection("3.4", &[]), Some(DowngradeObjection::LockOut));
        assert!(matches!(objection("3.4", &[("a", "3.6.1")]), Some(DowngradeObjection::TooFar { .. })));
    }

    #[test]
    fn versions_that_are_none_judge_nothing() {
        assert_eq!((newest(&[]), possible(&[]), newest(&[("a", "x")])), (None, None, None));
        assert_eq!(newest(&[("a", "x"), ("b", "3.10.0"), ("c", "3.9.9")]).as_deref(), Some("3.10"));
        assert_eq!(objection("3.6", &[("a", "x")]), None);
    }
}
