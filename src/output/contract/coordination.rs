//! Records of locks, leases, allocated IDs and garbage collection.

use super::spec::{RecordSpec, has, may, record};

pub(super) static LOCK: RecordSpec = record(
    "lock",
    "lock NAME",
    "Printed once the lock is held, without CMD.",
    &[
        has("key", "the key of the lock, with the namespace"),
        has("revision", "revision in which the key was created: a fencing token"),
        has("token", ""),
        has("lease", ""),
        has("ttl", ""),
        has("shared", ""),
        may("value", "with --value: the value"),
    ],
);

pub(super) static LEADER: RecordSpec = record(
    "leader",
    "lock --observe",
    "One leader or value. The first object says who leads at the start.",
    &[
        has("event", "leader: another candidate leads; proclaimed: the leader has another value")
            .one_of(&["leader", "proclaimed"]),
        has("key", "the key of the leader, with the namespace"),
        has("value", "the value of the leader"),
        has("create_revision", "revision in which the key was created: a fencing token"),
        has("mod_revision", "revision of the value"),
        may("lease", ""),
        has("revision", "revision since which this holds; in the first object, the revision that was read"),
    ],
);

pub(super) static NO_LEADER: RecordSpec = record(
    "no-leader",
    "lock --observe",
    "Nobody leads, until the next object.",
    &[has("event", "").one_of(&["no-leader"]), has("revision", "as in the object of a leader")],
);

pub(super) static LOCK_ROW: RecordSpec = record(
    "lock-row",
    "lock --list",
    "One holder or waiter. Only keys that name their owner have host, pid, user, cmd, since and owner.",
    &[
        has("name", "the name of the lock"),
        has("state", "").one_of(&["held", "waiting"]),
        has("order", ""),
        has("mode", "").one_of(&["shared", "exclusive"]),
        has("shared", ""),
        has("lease", ""),
        may("left", ""),
        may("ttl", ""),
        has("create_revision", ""),
        has("key", ""),
        may("host", ""),
        may("pid", ""),
        may("user", ""),
        may("cmd", ""),
        may("since", ""),
        may("owner", ""),
        may("value", "of a candidate in an election (lock --value, etcdctl elect): the first 1024 bytes of its value"),
        may("value_cut", ""),
    ],
);

pub(super) static DRY_RUN: RecordSpec = record(
    "dry-run",
    "lock, lease grant, lease renew, allocate new, hold, release and renew with --dry-run",
    "One object per step, with what is known. With would-wait, key is that of the holder. absent: the node has no reference. \
     The outcome of 'allocate new' and 'hold' is that of the command, or failed.",
    &[
        has("outcome", "").one_of(&[
            "would-grant",
            "would-renew",
            "would-lock",
            "would-wait",
            "would-release",
            "absent",
            "new",
            "existing",
            "restored",
            "failed",
        ]),
        may("name", "the name of the lock"),
        may("key", ""),
        may("id", ""),
        may("node", ""),
        may("lease", ""),
        may("ttl", ""),
        may("error", ""),
        has("dry_run", ""),
    ],
);

pub(super) static LEASE: RecordSpec = record(
    "lease",
    "lease list, grant, renew, revoke --dry-run",
    "",
    &[
        has("lease", ""),
        has("ttl", ""),
        has("left", ""),
        may("keys", "with list and revoke --dry-run: number of keys"),
        may("outside", ""),
        may("dry_run", ""),
    ],
);

pub(super) static LEASE_KEYS: RecordSpec = record(
    "lease-keys",
    "lease show",
    "",
    &[
        has("lease", ""),
        has("ttl", ""),
        has("left", ""),
        has("keys", ""),
        has("attached", "").of(&KEY_NAME),
        may("outside", ""),
    ],
);

static KEY_NAME: RecordSpec = record("key-name", "", "", &[has("key", "")]);

pub(super) static ALLOCATION: RecordSpec = record(
    "allocation",
    "allocate get",
    "",
    &[has("id", ""), has("key", ""), has("nodes", ""), has("state", "").one_of(ID_STATES), may("store", "")],
);

const ID_STATES: &[&str] = &["in-use", "unused", "leased", "duplicate", "orphan"];

pub(super) static LOOKUP: RecordSpec =
    record("lookup", "allocate lookup", "", &[has("id", ""), has("key", ""), may("store", "")]);

pub(super) static ID_ROW: RecordSpec = record(
    "id-row",
    "allocate list",
    "",
    &[
        has("id", ""),
        has("key", ""),
        has("nodes", ""),
        has("state", "").one_of(ID_STATES),
        may("left", "with --ttl: seconds until the first of its references expires"),
        may("lease", "the lease of the master"),
        has("references", "").of(&REFERENCE),
        may("store", ""),
    ],
);

static REFERENCE: RecordSpec = record(
    "reference",
    "",
    "",
    &[
        has("node", ""),
        may("lease", ""),
        may("ttl", "with --ttl: granted TTL in seconds"),
        may("left", "with --ttl: seconds until the lease expires"),
    ],
);

pub(super) static ALLOCATION_EVENT: RecordSpec = record(
    "allocation-event",
    "allocate watch",
    "A deleted ID has the key that it had, if kvadm still knows the key.",
    &[
        may("time", "with --timestamps: when the event arrived"),
        has("event", "").one_of(&["created", "modified", "deleted"]),
        has("id", ""),
        may("key", ""),
        may("prev_key", ""),
        may("mod_revision", ""),
    ],
);

pub(super) static ALLOCATED: RecordSpec = record(
    "allocated",
    "allocate new, hold, renew --recreate",
    "",
    &[
        has("id", ""),
        has("key", ""),
        has("outcome", "").one_of(&["new", "existing", "restored"]),
        has("new", ""),
        has("node", ""),
        may("lease", "the lease of the reference"),
    ],
);

pub(super) static RENEWED: RecordSpec =
    record("renewed", "allocate renew", "", &[may("id", ""), has("key", ""), may("ttl", ""), may("lease", "")]);

pub(super) static RELEASED: RecordSpec = record(
    "released",
    "allocate release",
    "",
    &[may("id", ""), has("key", ""), has("outcome", "").one_of(&["last use", "still used"]), has("last_use", "")],
);

pub(super) static PROBLEM: RecordSpec = record(
    "problem",
    "allocate check",
    "",
    &[
        has("severity", "").one_of(&["error", "warning", "info"]),
        has("problem", ""),
        may("id", ""),
        may("key", ""),
        has("text", ""),
        may("repair", "").one_of(&["restore", "restored"]),
        has("paths", "").of(&KEY_NAME),
    ],
);

const SWEEP_STATES: &[&str] = &[
    "garbage",
    "young",
    "removed",
    "gone",
    "changed",
    "held-back",
    "busy",
    "restored",
    "conflict",
    "unverified",
    "failed",
    "unknown",
];

pub(super) static GC_ID: RecordSpec = record(
    "gc-id",
    "gc ids",
    "One object per candidate. Without --apply the state is garbage or young.",
    &[
        has("state", "").one_of(SWEEP_STATES),
        has("id", ""),
        has("why", ""),
        has("value", "the allocator's key"),
        has("key", "the key of the master"),
        may("mod_revision", ""),
        has("seen", ""),
        may("error", ""),
    ],
);

pub(super) static GC_LOCK: RecordSpec = record(
    "gc-lock",
    "gc locks",
    "One object per candidate. Without --apply the state is garbage or young.",
    &[
        has("state", "").one_of(SWEEP_STATES),
        has("key", ""),
        has("why", ""),
        may("lease", ""),
        may("left", ""),
        may("ttl", ""),
        may("waiting", ""),
        has("seen", ""),
        may("create_revision", ""),
        may("error", ""),
    ],
);

pub(super) static GC_METADATA: RecordSpec = record(
    "gc-metadata",
    "gc metadata",
    "One object per candidate. Without --apply the state is garbage or young.",
    &[
        has("state", "").one_of(SWEEP_STATES),
        has("kind", "kind of the schema"),
        has("key", ""),
        has("why", ""),
        has("scope", ""),
        has("identity", ""),
        may("keys", ""),
        may("bytes", ""),
        may("mod_revision", "the newest one of the object's keys"),
        may("expired", ""),
        may("error", ""),
    ],
);

pub(super) static GC_ROUND: RecordSpec = record(
    "gc-round",
    "gc: summary",
    "On standard error at the end; with --every, one object per round on standard output.",
    &[
        has("time", ""),
        may("round", ""),
        has("kind", "").one_of(&["ids", "locks", "metadata"]),
        may("revision", ""),
        has("looked_at", ""),
        has("garbage", ""),
        has("young", ""),
        has("skipped", ""),
        may("leased", ""),
        may("agreed", ""),
        may("removed", ""),
        may("changed", ""),
        may("busy", ""),
        may("failed", ""),
        may("gone", ""),
        may("held_back", ""),
        may("restored", ""),
        may("conflicts", "IDs that another key got meanwhile"),
        may("unverified", ""),
        may("unknown", ""),
        may("parts", "with metadata: one object per kind of the schema").of(&GC_PART),
        may("phases", "with metadata: one object per phase").of(&GC_PHASE),
        has("took_ms", ""),
        may("error", ""),
    ],
);

static GC_PART: RecordSpec = record(
    "gc-part",
    "",
    "",
    &[
        has("kind", "kind of the schema"),
        has("objects", ""),
        has("keys", ""),
        has("bytes", ""),
        has("roots", ""),
        has("edges", ""),
        has("reachable", ""),
        has("garbage", ""),
        has("garbage_bytes", ""),
        may("unresolved", ""),
        may("removed", ""),
        may("removed_keys", ""),
        may("removed_bytes", ""),
        may("skipped", ""),
        may("gone", ""),
        may("failed", ""),
    ],
);

static GC_PHASE: RecordSpec = record(
    "gc-phase",
    "",
    "",
    &[
        has("phase", "").one_of(&["read", "mark", "sweep"]),
        has("took_ms", ""),
        may("transactions", ""),
        may("refused", ""),
        may("memory", ""),
    ],
);

pub(super) static EXPLANATION: RecordSpec = record(
    "explanation",
    "gc metadata --explain",
    "",
    &[
        has("verdict", "").one_of(&["root", "kept", "garbage", "not-collected", "absent"]),
        has("kind", "kind of the schema"),
        has("key", ""),
        has("scope", ""),
        has("identity", ""),
        has("why", ""),
        has("path", "").of(&PATH_STEP),
        has("referrers", "").of(&PATH_STEP),
    ],
);

static PATH_STEP: RecordSpec = record(
    "path-step",
    "",
    "",
    &[
        has("step", "").one_of(&["root", "keeps", "refers", "idle"]),
        has("kind", "kind of the schema"),
        has("key", ""),
        has("by", ""),
        may("flat", ""),
    ],
);

pub(super) static FINDING: RecordSpec = record(
    "finding",
    "gc metadata --check",
    "",
    &[has("severity", "").one_of(&["problem", "note"]), has("finding", ""), has("key", ""), has("text", "")],
);
