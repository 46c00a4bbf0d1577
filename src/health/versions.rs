//! Known problems of etcd's versions, as data. Pure.
//!
//! The facts come from etcd's changelogs and security advisories, which each problem names.

/// What a known problem can do to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// Members can lose data or come to hold different data.
    DataLoss,
    /// Reads can return old data.
    StaleReads,
    /// A client can believe that it holds a lease, and so a lock, which is gone.
    LeaseLoss,
    /// Somebody can read, change or block what they must not.
    Security,
    /// The version gets no fixes.
    EndOfLife,
}

impl Consequence {
    /// The value in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DataLoss => "data-loss",
            Self::StaleReads => "stale-reads",
            Self::LeaseLoss => "lease-loss",
            Self::Security => "security",
            Self::EndOfLife => "end-of-life",
        }
    }
}

/// A problem of some versions of etcd.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownProblem {
    /// The number of etcd's issue or pull request (`#20650`), or the name of the advisory.
    pub id: &'static str,
    /// What happens, in one sentence without a full stop.
    pub summary: &'static str,
    /// What it can do.
    pub consequence: Consequence,
    /// The versions that have the problem.
    pub affected: &'static [AffectedMinor],
    /// Where etcd describes it.
    pub source: &'static str,
}

/// The affected versions of one minor version: all before a patch release.
#[derive(Debug, PartialEq, Eq)]
pub struct AffectedMinor {
    /// The major and the minor version.
    pub minor: (u64, u64),
    /// The patch release that has the fix.
    pub fixed_patch: u64,
}

const fn before(major: u64, minor: u64, fixed_patch: u64) -> AffectedMinor {
    AffectedMinor { minor: (major, minor), fixed_patch }
}

/// The last minor version without maintenance: it ended in May 2026.
const LAST_ENDED_MINOR: (u64, u64) = (3, 4);

/// A crash during a defragmentation: [`defrag_problems`] refuses such versions.
pub const DEFRAG_CRASH: &str = "#14733";
/// A defragmentation while a snapshot of the leader is applied.
pub const DEFRAG_SNAPSHOT: &str = "#20650";

static END_OF_LIFE: KnownProblem = KnownProblem {
    id: "end-of-life",
    summary: "etcd 3.4 and earlier get no fixes any more, not even for security (3.4 ended in May 2026)",
    consequence: Consequence::EndOfLife,
    affected: &[],
    source: "https://github.com/etcd-io/etcd/blob/main/CHANGELOG/CHANGELOG-3.4.md",
};

static PROBLEMS: &[KnownProblem] = &[
    KnownProblem {
        id: "#13766",
        summary: "a member that is killed under load can come back with other data than the rest, silently",
        consequence: Consequence::DataLoss,
        affected: &[before(3, 5, 3), before(3, 6, 0)],
        source: "https://github.com/etcd-io/etcd/issues/13766",
    },
    KnownProblem {
        id: DEFRAG_CRASH,
        summary: "a member that crashes while it is defragmented can come back with another revision and other data",
        consequence: Consequence::DataLoss,
        affected: &[before(3, 5, 6), before(3, 6, 0)],
        source: "https://github.com/etcd-io/etcd/pull/14733",
    },
    KnownProblem {
        id: DEFRAG_SNAPSHOT,
        summary: "a defragmentation while the member receives a snapshot of the leader can damage its data",
        consequence: Consequence::DataLoss,
        affected: &[before(3, 5, 23), before(3, 6, 5)],
        source: "https://github.com/etcd-io/etcd/pull/20650",
    },
    KnownProblem {
        id: "#20615",
        summary: "etcd can confirm the renewal of a lease that is revoked, so that two clients hold one lock",
        consequence: Consequence::LeaseLoss,
        affected: &[before(3, 4, 38), before(3, 5, 23), before(3, 6, 5)],
        source: "https://github.com/etcd-io/etcd/pull/20615",
    },
    KnownProblem {
        id: "#20418",
        summary: "a member whose process was paused can answer a linearizable read with old data",
        consequence: Consequence::StaleReads,
        affected: &[before(3, 5, 28), before(3, 6, 9)],
        source: "https://github.com/etcd-io/etcd/issues/20418",
    },
    KnownProblem {
        id: "CVE-2026-33413",
        summary: "with authentication, clients without a login can list members, clear alarms, use leases and compact",
        consequence: Consequence::Security,
        affected: &[before(3, 4, 42), before(3, 5, 28), before(3, 6, 9)],
        source: "https://github.com/etcd-io/etcd/security/advisories/GHSA-q8m4-xhhv-38mg",
    },
    KnownProblem {
        id: "CVE-2026-33343",
        summary: "with authentication, a nested transaction reads and writes keys that the user may not use",
        consequence: Consequence::Security,
        affected: &[before(3, 4, 42), before(3, 5, 28), before(3, 6, 9)],
        source: "https://github.com/etcd-io/etcd/security/advisories/GHSA-rfx7-8w68-q57q",
    },
    KnownProblem {
        id: "CVE-2026-44283",
        summary: "with authentication, a put in a transaction can return a value, or attach a lease, that the user may not use",
        consequence: Consequence::Security,
        affected: &[before(3, 4, 44), before(3, 5, 30), before(3, 6, 11)],
        source: "https://github.com/etcd-io/etcd/security/advisories/GHSA-x35m-3gp4-4fh5",
    },
    KnownProblem {
        id: "GHSA-3wh4-j44w-pg92",
        summary: "with --listen-client-http-urls, revoked client certificates (--client-crl-file) are still accepted",
        consequence: Consequence::Security,
        affected: &[before(3, 5, 32), before(3, 6, 13), before(3, 7, 0)],
        source: "https://github.com/etcd-io/etcd/security/advisories/GHSA-3wh4-j44w-pg92",
    },
    KnownProblem {
        id: "GHSA-xg4h-6gfc-h4m8",
        summary: "with authentication, a user who may read one key can watch all keys after it",
        consequence: Consequence::Security,
        affected: &[before(3, 5, 33), before(3, 6, 14), before(3, 7, 1)],
        source: "https://github.com/etcd-io/etcd/security/advisories/GHSA-xg4h-6gfc-h4m8",
    },
    KnownProblem {
        id: "GHSA-6vch-q96h-7gc3",
        summary: "clients that begin TLS handshakes and never finish them can exhaust the server's memory",
        consequence: Consequence::Security,
        affected: &[before(3, 5, 33), before(3, 6, 14), before(3, 7, 1)],
        source: "https://github.com/etcd-io/etcd/security/advisories/GHSA-6vch-q96h-7gc3",
    },
];

/// A version of etcd, in the order of releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EtcdVersion {
    major: u64,
    minor: u64,
    patch: u64,
    /// A pre-release comes before its release.
    is_release: bool,
}

impl EtcdVersion {
    /// Parses `3.5.1`, `v3.6.0-rc.2` or `3.5.21+git`. Only `alpha`, `beta`, `pre` and `rc` make a pre-release: a vendor's suffix
    /// such as `-k3s1` follows the release. `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, _) = text.split_once('+').unwrap_or((text, ""));
        let (numbers, suffix) = text.split_once('-').unwrap_or((text, ""));
        let mut parts = numbers.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u64>().ok()).flatten()
        });
        let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() {
            return None;
        }
        let suffix = suffix.to_ascii_lowercase();
        let is_release = !["alpha", "beta", "pre", "rc"].iter().any(|word| suffix.starts_with(word));
        Some(Self { major, minor, patch, is_release })
    }

    /// The major and the minor version, whose members work together in one cluster.
    pub fn minor(self) -> (u64, u64) {
        (self.major, self.minor)
    }

    fn has(self, problem: &KnownProblem) -> bool {
        problem.affected.iter().any(|affected| {
            let (major, minor) = affected.minor;
            let fixed = Self { major, minor, patch: affected.fixed_patch, is_release: true };
            self.minor() == affected.minor && self < fixed
        })
    }
}

/// The known problems of a version, the worst first; `None` if the version cannot be parsed. Minor versions that this table does
/// not know have none.
pub fn known_problems(version: &str) -> Option<Vec<&'static KnownProblem>> {
    let version = EtcdVersion::parse(version)?;
    let mut found: Vec<&KnownProblem> = PROBLEMS.iter().filter(|problem| version.has(problem)).collect();
    if version.minor() <= LAST_ENDED_MINOR {
        found.push(&END_OF_LIFE);
    }
    Some(found)
}

/// The known problems of a version that a defragmentation can bring about, the worst first; empty for a version that cannot be
/// parsed.
pub fn defrag_problems(version: &str) -> Vec<&'static KnownProblem> {
    let all = known_problems(version).unwrap_or_default();
    all.into_iter().filter(|problem| [DEFRAG_CRASH, DEFRAG_SNAPSHOT].contains(&problem.id)).collect()
}

/// The lowest release of the same minor version that has none of the problems; `None` if the version cannot be parsed, has no
/// problem, or its minor version gets no fixes.
pub fn fixed_release(version: &str) -> Option<String> {
    let version = EtcdVersion::parse(version)?;
    if version.minor() <= LAST_ENDED_MINOR {
        return None;
    }
    let affected = PROBLEMS.iter().filter(|problem| version.has(problem)).flat_map(|problem| problem.affected);
    let patch =
        affected.filter(|affected| affected.minor == version.minor()).map(|affected| affected.fixed_patch).max()?;
    Some(format!("{}.{}.{patch}", version.major, version.minor))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    fn ids(version: &str) -> Vec<&'static str> {
        known_problems(version).unwrap().iter().map(|problem| problem.id).collect()
    }

    #[test]
    fn each_problem_ends_with_the_release_that_fixes_it() {
        for problem in PROBLEMS {
            assert!(!problem.affected.is_empty(), "{}", problem.id);
            for affected in problem.affected {
                let ((major, minor), patch) = (affected.minor, affected.fixed_patch);
                let fixed = format!("{major}.{minor}.{patch}");
                assert!(!ids(&fixed).contains(&problem.id), "{} is fixed in {fixed}", problem.id);
                assert!(ids(&format!("{fixed}-rc.1")).contains(&problem.id), "{} in {fixed}-rc.1", problem.id);
                if let Some(last) = patch.checked_sub(1) {
                    let last = format!("{major}.{minor}.{last}");
                    assert!(ids(&last).contains(&problem.id), "{} is in {last}", problem.id);
                }
            }
        }
    }

    #[test]
    fn the_versions_around_each_boundary() {
        assert_eq!(ids("3.5.1").first(), Some(&"#13766"));
        assert_eq!(ids("3.5.5").first(), Some(&"#14733"));
        assert_eq!(ids("3.5.6").first(), Some(&"#20650"));
        assert_eq!(ids("3.5.23").first(), Some(&"#20418"));
        assert_eq!(ids("3.5.32"), ["GHSA-xg4h-6gfc-h4m8", "GHSA-6vch-q96h-7gc3"]);
        assert_eq!((ids("3.5.33"), ids("3.6.14"), ids("3.7.1")), (vec![], vec![], vec![]));
        assert_eq!(ids("3.4.44"), ["end-of-life"]);
        assert!(ids("3.4.37").contains(&"#20615") && !ids("3.4.37").contains(&"#14733"), "3.4 has no such defect");
        assert_eq!(ids("3.3.27"), ["end-of-life"]);
        assert_eq!((ids("3.8.0"), ids("3.8.0-alpha.0"), ids("4.0.0")), (vec![], vec![], vec![]));
    }

    #[test]
    fn versions_with_suffixes() {
        assert!(ids("3.6.0-alpha.0").contains(&"#14733") && !ids("3.6.0").contains(&"#14733"));
        assert_eq!(ids("v3.5.23-k3s1"), ids("3.5.23"));
        assert_eq!(ids("3.5.6+git"), ids("3.5.6"));
        for text in
            ["", "3", "3.5", "3.5.x", "3.5.1.2", "three", "3..1", "+3.5.1", "99999999999999999999.1.1", "3.5.-1"]
        {
            assert_eq!(known_problems(text), None, "{text}");
        }
    }

    #[test]
    fn defragmentation_and_upgrades() {
        let defrag = |version| defrag_problems(version).iter().map(|problem| problem.id).collect::<Vec<_>>();
        assert_eq!(defrag("3.5.5"), [DEFRAG_CRASH, DEFRAG_SNAPSHOT]);
        assert_eq!((defrag("3.5.6"), defrag("3.5.22")), (vec![DEFRAG_SNAPSHOT], vec![DEFRAG_SNAPSHOT]));
        assert_eq!((defrag("3.6.4"), defrag("3.6.5")), (vec![DEFRAG_SNAPSHOT], vec![]));
        assert_eq!((defrag("3.5.23"), defrag("3.4.1"), defrag("?")), (vec![], vec![], vec![]));
        assert_eq!(fixed_release("3.5.1").as_deref(), Some("3.5.33"));
        assert_eq!(fixed_release("3.7.0").as_deref(), Some("3.7.1"));
        assert_eq!([fixed_release("3.7.1"), fixed_release("3.4.1"), fixed_release("x")], [None, None, None]);
    }

    #[test]
    fn every_entry_can_be_read() {
        for problem in PROBLEMS.iter().chain([&END_OF_LIFE]) {
            assert!(problem.source.starts_with("https://github.com/etcd-io/etcd/"), "{}", problem.id);
            assert!(!problem.summary.ends_with('.') && problem.summary.len() < 120, "{}", problem.summary);
        }
    }

    proptest! {
        #[test]
        fn a_later_release_never_has_a_problem_that_an_earlier_one_lacks(minor in 0u64..12, patch in 0u64..60) {
            let problems = |patch: u64| ids(&format!("3.{minor}.{patch}"));
            let (earlier, later) = (problems(patch), problems(patch + 1));
            prop_assert!(later.iter().all(|id| earlier.contains(id)));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (known_problems(&text), defrag_problems(&text), fixed_release(&text));
        }
    }
}
