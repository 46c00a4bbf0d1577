//! Records of compaction and of snapshots.

use super::spec::{JsonType, RecordSpec, has, may, record};

pub(super) static COMPACT: RecordSpec = record(
    "compact",
    "compact",
    "With --dry-run dry_run, would_compact, would_defrag and would_disarm instead of compacted, physical and disarmed.",
    &[
        may("dry_run", ""),
        may("would_compact", ""),
        may("would_defrag", ""),
        may("would_disarm", ""),
        may("compacted", "revision of the compaction; absent if nothing was compacted"),
        may("physical", ""),
        may("disarmed", ""),
        has("already", ""),
        may("current", ""),
        has("members", "").of(&SPACE),
        has("complaints", ""),
    ],
);

static SPACE: RecordSpec = record(
    "member-space",
    "",
    "",
    &[
        has("endpoint", ""),
        has("name", "the name of the member"),
        may("id", ""),
        may("role", "").one_of(&["leader", "follower", "learner", "no leader"]),
        may("db_size_before", ""),
        may("db_size_after", ""),
        may("in_use_before", ""),
        may("in_use_after", ""),
        may("revision_before", ""),
        may("revision_after", ""),
        may("quota", ""),
        may("defrag", "").one_of(&["done", "failed", "unknown", "left", "skipped"]),
        may(
            "reason",
            "why the member was skipped: the figures that --if compares, a learner, or a member that --member does not name",
        ),
        has("alarms", ""),
        may("error", ""),
    ],
);

pub(super) static COMPACT_ROUND: RecordSpec = record(
    "compact-round",
    "compact --every",
    "One object per round.",
    &[
        has("round", ""),
        has("outcome", "").one_of(&["compacted", "already", "nothing", "failed"]),
        may("compacted", ""),
        may("current", ""),
        has("took_ms", ""),
        may("error", ""),
    ],
);

pub(super) static DOWNGRADE: RecordSpec = record(
    "downgrade",
    "downgrade status",
    "",
    &[
        has("state", "").one_of(&["enabled", "disabled"]),
        may("target_version", "the version of the enabled downgrade; etcd 3.5 does not always tell it"),
        may("cluster_version", "absent if a downgrade is enabled or not possible"),
        may("possible_target", ""),
        has("members", "").of(&DOWNGRADE_MEMBER),
    ],
);

static DOWNGRADE_MEMBER: RecordSpec = record(
    "downgrade-member",
    "",
    "unknown: etcd before 3.6 does not tell it.",
    &[
        has("endpoint", ""),
        has("name", "the name of the member"),
        may("version", "version of the member").typed(JsonType::Text),
        may("storage_version", ""),
        has("state", "").one_of(&["enabled", "disabled", "unknown", "unreachable"]),
        may("target_version", "the version of the enabled downgrade"),
        may("error", "why the member does not answer"),
    ],
);

pub(super) static DOWNGRADE_CHANGE: RecordSpec = record(
    "downgrade-change",
    "downgrade validate, enable, cancel",
    "nothing: the downgrade was enabled, or ended, before.",
    &[
        has("action", "").one_of(&["validate", "enable", "cancel"]),
        has("outcome", "").one_of(&["valid", "enabled", "cancelled", "nothing", "would-enable", "would-cancel"]),
        may("target_version", "the version to go back to"),
        may("cluster_version", ""),
        may("dry_run", ""),
    ],
);

pub(super) static SNAPSHOT_SAVED: RecordSpec = record(
    "snapshot-saved",
    "snapshot save",
    "With -, the object is on standard error and has no revisions. With --dry-run it lacks what only the file tells.",
    &[
        has("file", ""),
        has("endpoint", ""),
        may("member", ""),
        may("revision", "absent if the store changed meanwhile and the file was not read"),
        may("revision_at_least", ""),
        may("behind", ""),
        may("revisions", "number of the stored revisions of all keys"),
        has("size", ""),
        may("sha256", "SHA-256 of the database: the last 32 bytes of the file, in hexadecimal digits"),
        has("server_version", ""),
        may("storage_version", ""),
        may("took_ms", ""),
        may("dry_run", ""),
    ],
);

pub(super) static SNAPSHOT_VERIFIED: RecordSpec = record(
    "snapshot-verified",
    "snapshot verify",
    "unproved: nothing is wrong, but the file has no SHA-256.",
    &[
        has("file", ""),
        has("result", "").one_of(&["intact", "unproved", "damaged"]),
        has("damages", "number of problems in pages, and one more if the SHA-256 does not match"),
        has("damage", "").of(&DAMAGE),
        has("sha256_state", "").one_of(&["verified", "absent", "mismatch"]),
        may("sha256", ""),
        may("hash", "etcd's HashKV of the file as it is; absent if a page is damaged"),
        may("hash_revision", ""),
        may("compact_revision", ""),
        may("compacted", "the last complete compaction, if a later one has only begun"),
        may("revision", ""),
        has("revisions", ""),
        may("keys", "number of keys at the latest revision"),
        has("tombstones", ""),
        has("leases", ""),
        has("size", ""),
        has("page_size", ""),
        has("free", ""),
        may("storage_version", ""),
        may("cluster_version", ""),
        may("index", ""),
        may("term", "term of raft (etcd 3.5 and later)"),
        has("auth", ""),
        has("users", ""),
        has("roles", ""),
        has("alarms", ""),
        has("members", "").of(&STORED_MEMBER),
    ],
);

static DAMAGE: RecordSpec =
    record("page-damage", "", "", &[has("page", ""), has("offset", ""), has("error", "what is wrong with the page")]);

static STORED_MEMBER: RecordSpec =
    record("stored-member", "", "", &[has("id", ""), has("name", "the name of the member"), has("peer_urls", "")]);
