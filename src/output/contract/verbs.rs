//! What each verb prints.

use super::spec::{RecordSpec, VerbSpec};
use super::{cluster, coordination, keys, maintenance, views};

const fn v(
    words: &'static [&'static str],
    stdout: &'static [&'static RecordSpec],
    stderr: &'static [&'static RecordSpec],
) -> VerbSpec {
    VerbSpec { words, stdout, stderr }
}

/// All verbs, and the verbs of verbs, as the help lists them. Those without records print text in every format.
pub static VERBS: &[VerbSpec] = &[
    v(&["get"], &[&keys::KEY_VALUE, &keys::HISTORY], &[&keys::COUNT, &keys::READ_MEMBER]),
    v(&["put"], &[&keys::PUT, &keys::LOAD], &[]),
    v(&["edit"], &[&keys::PUT], &[]),
    v(&["delete"], &[&keys::DELETE, &keys::KEY_VALUE], &[]),
    v(
        &["list"],
        &[
            &keys::KEY_VALUE,
            &keys::KEY_ONLY,
            &keys::TRAILER,
            &keys::COUNT,
            &keys::BRANCH,
            &keys::USAGE,
            &keys::HISTORY_USAGE,
        ],
        &[&keys::CLOCK, &keys::COUNT, &keys::READ_MEMBER],
    ),
    v(&["watch"], &[&keys::EVENT, &keys::LIST_DONE, &keys::WATCH_STATUS, &keys::WATCH_FAULT], &[&keys::READ_MEMBER]),
    v(&["txn"], &[&keys::TXN], &[]),
    v(&["diff"], &[&keys::DIFFERENCE, &keys::BRANCH_DIFFERENCES], &[&keys::DIFF_SUMMARY, &keys::READ_MEMBER]),
    v(&["restore"], &[&keys::RESTORE, &keys::RESTORE_CHANGE], &[]),
    v(&["mirror"], &[&keys::MIRROR, &keys::MIRROR_COMPARISON], &[]),
    v(&["lock"], &[&coordination::LOCK, &coordination::LOCK_ROW, &coordination::DRY_RUN], &[]),
    v(&["lease", "list"], &[&coordination::LEASE], &[]),
    v(&["lease", "show"], &[&coordination::LEASE_KEYS], &[]),
    v(&["lease", "grant"], &[&coordination::LEASE, &coordination::DRY_RUN], &[]),
    v(&["lease", "renew"], &[&coordination::LEASE, &coordination::DRY_RUN], &[]),
    v(&["lease", "revoke"], &[&coordination::LEASE], &[]),
    v(&["allocate", "new"], &[&coordination::ALLOCATED, &coordination::DRY_RUN], &[]),
    v(&["allocate", "get"], &[&coordination::ALLOCATION], &[]),
    v(&["allocate", "lookup"], &[&coordination::LOOKUP], &[]),
    v(&["allocate", "renew"], &[&coordination::RENEWED, &coordination::ALLOCATED, &coordination::DRY_RUN], &[]),
    v(&["allocate", "release"], &[&coordination::RELEASED, &coordination::DRY_RUN], &[]),
    v(&["allocate", "hold"], &[&coordination::ALLOCATED, &coordination::DRY_RUN], &[]),
    v(&["allocate", "list"], &[&coordination::ID_ROW], &[]),
    v(&["allocate", "watch"], &[&coordination::ALLOCATION_EVENT, &keys::LIST_DONE, &keys::WATCH_STATUS], &[]),
    v(&["allocate", "check"], &[&coordination::PROBLEM], &[]),
    v(&["gc", "ids"], &[&coordination::GC_ID, &coordination::GC_ROUND], &[&coordination::GC_ROUND]),
    v(&["gc", "locks"], &[&coordination::GC_LOCK, &coordination::GC_ROUND], &[&coordination::GC_ROUND]),
    v(
        &["gc", "metadata"],
        &[&coordination::GC_METADATA, &coordination::GC_ROUND, &coordination::EXPLANATION, &coordination::FINDING],
        &[&coordination::GC_ROUND],
    ),
    v(
        &["status"],
        &[
            &cluster::STATUS,
            &cluster::REVISION,
            &cluster::DIAGNOSIS,
            &views::LATENCY,
            &views::ADVICE,
            &views::CONSISTENCY,
            &views::FORECAST,
        ],
        &[&keys::READ_MEMBER],
    ),
    v(&["check"], &[&views::CHECK, &views::CHECK_PLAN], &[]),
    v(&["top"], &[&views::ACTIVITY], &[]),
    v(&["compact"], &[&maintenance::COMPACT, &maintenance::COMPACT_ROUND], &[]),
    v(&["snapshot", "save"], &[&maintenance::SNAPSHOT_SAVED], &[&maintenance::SNAPSHOT_SAVED]),
    v(&["snapshot", "verify"], &[&maintenance::SNAPSHOT_VERIFIED], &[]),
    v(&["downgrade", "status"], &[&maintenance::DOWNGRADE], &[]),
    v(&["downgrade", "validate"], &[&maintenance::DOWNGRADE_CHANGE], &[]),
    v(&["downgrade", "enable"], &[&maintenance::DOWNGRADE_CHANGE], &[]),
    v(&["downgrade", "cancel"], &[&maintenance::DOWNGRADE_CHANGE], &[]),
    v(&["config"], &[&cluster::SETTING], &[]),
    v(&["completions"], &[], &[]),
    v(&["version"], &[&cluster::VERSION], &[]),
];

/// What the verb with these words prints.
pub fn verb<S: AsRef<str>>(words: &[S]) -> Option<&'static VerbSpec> {
    VERBS.iter().find(|verb| verb.words.iter().copied().eq(words.iter().map(AsRef::as_ref)))
}
