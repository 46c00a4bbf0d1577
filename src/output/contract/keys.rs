//! Records about keys: reading, writing, watching, comparing and copying them.

use super::spec::{RecordSpec, has, may, record};

pub(super) static KEY_VALUE: RecordSpec = record(
    "key-value",
    "get, list, delete --prev",
    "One key. 'put --from' reads it again.",
    &[
        has("key", ""),
        has("value", ""),
        has("create_revision", ""),
        has("mod_revision", ""),
        has("version", ""),
        may("lease", ""),
        may("ttl", "with --with-leases: the granted TTL of the lease in seconds"),
    ],
);

pub(super) static KEY_ONLY: RecordSpec = record(
    "key-only",
    "list --keys-only",
    "One key without value and lease.",
    &[has("key", ""), has("create_revision", ""), has("mod_revision", ""), has("version", "")],
);

pub(super) static HISTORY: RecordSpec = record(
    "history",
    "get --history",
    "One change of the key. A deleted key has no value, and the version 0.",
    &[
        has("key", ""),
        may("value", "absent if the key was deleted"),
        has("event", "").one_of(&["created", "modified", "deleted"]),
        may("create_revision", "absent if the key was deleted"),
        has("mod_revision", "revision of the change"),
        has("version", ""),
        may("lease", ""),
    ],
);

pub(super) static TRAILER: RecordSpec = record(
    "trailer",
    "list --trailer",
    "After the last record. It is the only field of its line, and the line is the last one.",
    &[has("trailer", "").of(&TRAILER_CONTENT)],
);

static TRAILER_CONTENT: RecordSpec = record(
    "trailer-content",
    "",
    "",
    &[has("prefix", ""), may("namespace", ""), has("count", "records before the trailer"), has("revision", "")],
);

pub(super) static COUNT: RecordSpec = record(
    "count",
    "list --count; on standard error list -v, get -v, list --since-rev",
    "With --since-rev, the revision is the N of the next run. With -v, it is the revision of the listing or of the read.",
    &[has("count", "number of keys, or of printed records"), has("revision", "")],
);

pub(super) static CLOCK: RecordSpec = record(
    "clock",
    "list --at",
    "On standard error, before the listing.",
    &[has("clock", ""), has("revision", "the revision that is read"), has("time", "time of that revision")],
);

pub(super) static READ_MEMBER: RecordSpec = record(
    "read-member",
    "get, list, diff, watch, status --revision with --serializable",
    "On standard error at the end; with watch at the start.",
    &[
        may("source", "with diff, for the store of a context: the source as it was given"),
        has("endpoint", "the member that was read"),
        has("revision", "the revision that was read"),
        may("behind", ""),
    ],
);

pub(super) static BRANCH: RecordSpec = record(
    "branch",
    "list --depth, --tree",
    "",
    &[
        has("key", ""),
        has("kind", "").one_of(&["branch", "key"]),
        has("depth", ""),
        may("keys", "number of keys of a branch, if they are counted"),
    ],
);

pub(super) static USAGE: RecordSpec = record(
    "usage",
    "list --du",
    "",
    &[
        has("key", "the prefix"),
        has("kind", "").one_of(&["branch", "total"]),
        has("keys", ""),
        has("bytes", ""),
        has("key_bytes", ""),
        has("value_bytes", ""),
        may("percent", ""),
    ],
);

pub(super) static HISTORY_USAGE: RecordSpec = record(
    "history-usage",
    "list --du --history",
    "",
    &[
        has("key", "the key or prefix"),
        has("kind", "").one_of(&["branch", "total", "key"]),
        has("keys", "number of keys that exist"),
        has("live_bytes", ""),
        has("superseded_bytes", ""),
        has("revisions", "number of stored revisions, with deletions"),
        has("tombstones", ""),
        may("revisions_per_key", ""),
    ],
);

pub(super) static PUT: RecordSpec = record(
    "put",
    "put KEY, edit",
    "",
    &[
        has("outcome", "").one_of(&["written", "unchanged", "would-write"]),
        has("key", ""),
        may("mod_revision", "revision of the value; absent if the key is not written yet"),
        may("prev_value", "with --prev: the value before; absent if the key did not exist"),
        may("prev_mod_revision", ""),
        may("prev_lease", "the lease before"),
        may("lease", ""),
        may("ttl", ""),
        may("dry_run", ""),
    ],
);

pub(super) static LOAD: RecordSpec = record(
    "load",
    "put --from",
    "The numbers of records. With --dry-run would_write and dry_run instead of written.",
    &[
        may("written", ""),
        may("would_write", ""),
        has("unchanged", "records whose keys have these values already"),
        has("exists", ""),
        has("unknown", ""),
        has("leases", "leases that were granted"),
        may("dry_run", ""),
    ],
);

pub(super) static DELETE: RecordSpec = record(
    "delete",
    "delete",
    "With --prev the deleted records instead. With --dry-run would_delete and dry_run instead of deleted.",
    &[
        may("deleted", ""),
        may("would_delete", ""),
        has("kept", ""),
        has("revision", "revision of the last deletion or, without one, of the read"),
        may("dry_run", ""),
    ],
);

pub(super) static EVENT: RecordSpec = record(
    "event",
    "watch: keys",
    "A deleted key has no value; its mod_revision is the revision of the deletion, and is absent if --sync found the key \
     missing after a compaction.",
    &[
        may("time", "with --timestamps: when the event arrived"),
        has("event", "").one_of(&["created", "modified", "deleted"]),
        has("key", ""),
        may("value", ""),
        may("prev_value", "with --prev: the previous value"),
        may("prev_mod_revision", "with --prev: the revision of the previous value"),
        may("create_revision", ""),
        may("mod_revision", ""),
        may("version", ""),
        may("lease", ""),
    ],
);

pub(super) static LIST_DONE: RecordSpec = record(
    "list-done",
    "watch, allocate watch: end of the initial listing",
    "",
    &[
        may("time", "with --timestamps"),
        has("event", "").one_of(&["list-done"]),
        has("revision", "revision of the listing"),
    ],
);

pub(super) static WATCH_STATUS: RecordSpec = record(
    "watch-status",
    "watch, allocate watch: status",
    "",
    &[
        may("time", "with --timestamps"),
        has("event", "").one_of(&["status"]),
        has("status", "").one_of(&["wait-for-datastore", "resync-in-progress", "in-sync"]),
        may("revision", ""),
    ],
);

pub(super) static WATCH_FAULT: RecordSpec = record(
    "watch-fault",
    "watch: undecodable value",
    "The value of the previous event is not a valid message.",
    &[
        has("event", "").one_of(&["error"]),
        has("key", ""),
        has("error", "why it cannot be decoded"),
        has("field", "").one_of(&["value", "prev_value"]),
        may("mod_revision", ""),
    ],
);

pub(super) static DIFFERENCE: RecordSpec = record(
    "difference",
    "diff",
    "What leads from the source to the store. A record of a file has no revision.",
    &[
        has("event", "").one_of(&["created", "modified", "deleted"]),
        has("key", ""),
        may("value", "the store's value"),
        may("prev_value", "the source's value"),
        may("mod_revision", ""),
        may("prev_mod_revision", ""),
        may("lease", ""),
        may("prev_lease", ""),
    ],
);

pub(super) static BRANCH_DIFFERENCES: RecordSpec = record(
    "branch-differences",
    "diff --stat",
    "",
    &[has("key", "the branch"), has("created", ""), has("modified", ""), has("deleted", "")],
);

pub(super) static DIFF_SUMMARY: RecordSpec = record(
    "diff-summary",
    "diff: summary",
    "The last object, on standard error.",
    &[
        has("source", "the source as it was given"),
        may("source_revision", ""),
        has("revision", ""),
        has("created", ""),
        has("modified", ""),
        has("deleted", ""),
        has("unchanged", ""),
        has("limited", ""),
    ],
);

pub(super) static RESTORE: RecordSpec = record(
    "restore",
    "restore",
    "With --plan would_create, would_modify and would_delete instead of created, modified and deleted.",
    &[
        may("created", ""),
        may("modified", ""),
        may("deleted", ""),
        may("would_create", ""),
        may("would_modify", ""),
        may("would_delete", ""),
        has("unchanged", ""),
        has("conflicts", ""),
        has("unknown", ""),
        has("revision", "revision of the store at which it was compared with the source"),
    ],
);

pub(super) static RESTORE_CHANGE: RecordSpec = record(
    "restore-change",
    "restore --dry-run",
    "One object per change.",
    &[
        has("event", "").one_of(&["created", "modified", "deleted"]),
        has("key", ""),
        may("value", "the value to write"),
        may("prev_mod_revision", "the revision that the key must still have"),
        has("dry_run", ""),
    ],
);

pub(super) static MIRROR: RecordSpec = record(
    "mirror",
    "mirror",
    "One object per event.",
    &[
        has("event", "").one_of(&["copied", "progress", "caught-up", "stopped", "would-copy"]),
        has("revision", "revision of the source up to which the prefix is mirrored"),
        may("source_revision", "with progress: the revision of the source"),
        may("behind", "with progress: revisions of the source that are not mirrored yet"),
        has("changes", ""),
        may("changes_per_second", "with progress: changes per second since the last record"),
        has("copied", ""),
        has("overwritten", ""),
    ],
);

pub(super) static MIRROR_COMPARISON: RecordSpec = record(
    "mirror-comparison",
    "mirror --verify, --dry-run",
    "",
    &[
        has("event", "").one_of(&["verified", "would-copy"]),
        has("revision", "revision of the source"),
        has("destination_revision", ""),
        has("unchanged", ""),
        has("created", "keys that only the source has"),
        has("modified", "keys that differ"),
        has("deleted", "keys that only the destination has"),
    ],
);

pub(super) static TXN: RecordSpec = record(
    "txn",
    "txn",
    "",
    &[
        has("branch", "").one_of(&["then", "else"]),
        has("revision", ""),
        has("succeeded", ""),
        may("dry_run", ""),
        has("results", "").of(&TXN_RESULT),
    ],
);

/// A transaction may be inside of a transaction.
static TXN_RESULT: RecordSpec = record(
    "txn-result",
    "",
    "put has prev; get has count, more and kvs; delete has deleted and prev; txn has branch, succeeded and results.",
    &[
        has("op", "").one_of(&["put", "get", "delete", "txn"]),
        may("count", "number of keys that match"),
        may("more", ""),
        may("kvs", "").of(&TXN_KEY_VALUE),
        may("deleted", ""),
        may("prev", "").of(&TXN_KEY_VALUE),
        may("branch", "").one_of(&["then", "else"]),
        may("succeeded", ""),
        may("results", "").of(&TXN_RESULT),
    ],
);

static TXN_KEY_VALUE: RecordSpec = record(
    "txn-key-value",
    "",
    "",
    &[
        has("key", ""),
        has("value", ""),
        has("create_revision", ""),
        has("mod_revision", ""),
        has("version", ""),
        may("lease", ""),
    ],
);
