//! Records of checks, of live activity, and of the views of `status`.

use super::spec::{RecordSpec, has, may, record};

pub(super) static CHECK: RecordSpec = record(
    "check",
    "check",
    "--report json writes the same object.",
    &[
        has("file", ""),
        has("time", ""),
        has("took_ms", ""),
        may("cluster", ""),
        may("revision", "revision at which the rules about keys were judged; absent without such rules"),
        has("passed", ""),
        has("failed", "number of checks that failed"),
        has("errors", ""),
        has("skipped", "number of checks that were not tried"),
        has("checks", "").of(&CHECK_ITEM),
    ],
);

static CHECK_ITEM: RecordSpec = record(
    "check-item",
    "",
    "",
    &[
        has("name", "name of the check"),
        has("line", ""),
        has("state", "").one_of(&["pass", "fail", "error", "skipped"]),
        has("took_ms", "milliseconds of its own requests"),
        has("rules", "").of(&CHECK_RULE),
    ],
);

static CHECK_RULE: RecordSpec = record(
    "check-rule",
    "",
    "",
    &[
        has("rule", ""),
        has("state", "").one_of(&["pass", "fail", "error", "skipped"]),
        may("expected", "if it fails"),
        may("found", "if it fails"),
        may("error", "why it cannot be judged or was not tried"),
        may("measured", ""),
        may("lower_limit", "if the rule has one"),
        may("upper_limit", "if the rule has one"),
        may("unit", "").one_of(&["count", "seconds", "bytes", "percent"]),
    ],
);

pub(super) static CHECK_PLAN: RecordSpec = record(
    "check-plan",
    "check --explain",
    "One object per rule.",
    &[has("check", ""), has("line", ""), has("rule", ""), has("reads", ""), has("expected", "")],
);

pub(super) static ACTIVITY: RecordSpec = record(
    "activity",
    "top",
    "One object per period. live: all changes of the period are counted. behind: the watch is catching up. resumed: the watch was \
     interrupted; the changes of that time are counted in this period and the next ones. gap: changes were compacted before \
     they could be counted. unconfirmed: etcd has not answered for some seconds. interrupted: the watch has no connection.",
    &[
        has("time", "the end of the period"),
        has("took_ms", ""),
        has("prefix", ""),
        has("state", "").one_of(&["live", "behind", "resumed", "gap", "unconfirmed", "interrupted"]),
        may("reason", "unless the state is live"),
        may("revision", "the latest known revision"),
        has("behind", "revisions that have happened and are not counted yet"),
        has("by", "what the branches are ordered by").one_of(&["events", "bytes", "writes", "deletes"]),
        has("events", ""),
        has("writes", ""),
        has("deletes", ""),
        has("bytes", "bytes of keys and new values"),
        has("keys", "number of distinct keys; an estimate above 64"),
        has("keys_error", ""),
        has("leases", "number of distinct leases; an estimate above 64"),
        has("leases_error", ""),
        has("error_bound", ""),
        has("branches", "").of(&ACTIVITY_BRANCH),
        may("hot_keys", "").of(&ACTIVITY_BRANCH),
    ],
);

static ACTIVITY_BRANCH: RecordSpec = record(
    "activity-branch",
    "",
    "",
    &[
        has("key", "the branch or the key"),
        may("key_cut", ""),
        has("kind", "").one_of(&["branch", "key", "total", "hot-key"]),
        has("events", ""),
        has("writes", ""),
        has("deletes", ""),
        has("bytes", "bytes of keys and new values"),
        may("keys", "number of distinct keys; an estimate above 64"),
        may("keys_error", ""),
        may("leases", "number of distinct leases; an estimate above 64"),
        may("leases_error", ""),
        may("percent", "share of all changes, in the unit of by"),
        has("error_bound", ""),
    ],
);

pub(super) static LATENCY: RecordSpec = record(
    "latency",
    "status --latency",
    "",
    &[has("took_ms", ""), has("interrupted", ""), has("probes", "").of(&PROBE), has("complaints", "")],
);

static PROBE: RecordSpec = record(
    "probe",
    "",
    "",
    &[
        has("endpoint", ""),
        has("name", "the name of the member"),
        has("probe", "").one_of(&["serializable-read", "linearizable-read", "write"]),
        has("state", "").one_of(&["ok", "partial", "failed", "denied"]),
        has("count", "number of requests that were answered"),
        has("failures", ""),
        may("p50_ms", ""),
        may("p90_ms", ""),
        may("p99_ms", ""),
        may("max_ms", ""),
        may("error", "the last failure"),
    ],
);

pub(super) static ADVICE: RecordSpec = record(
    "advice",
    "status --advice",
    "",
    &[has("health", "").one_of(&["healthy", "degraded", "unknown", "no-quorum"]), has("advice", "").of(&ADVICE_ITEM)],
);

static ADVICE_ITEM: RecordSpec = record(
    "advice-item",
    "",
    "",
    &[
        has("severity", "").one_of(&["critical", "warning", "suggestion"]),
        has("certainty", "").one_of(&["certain", "likely", "possible"]),
        has("subject", ""),
        has("finding", "what was found"),
        has("why", ""),
        has("remedy", ""),
        may("command", ""),
        has("rule", ""),
        may("problems", ""),
    ],
);

pub(super) static CONSISTENCY: RecordSpec = record(
    "consistency",
    "status --consistency",
    "Values are not printed.",
    &[
        has("verdict", "").one_of(&["consistent", "different", "history-differs", "history-unknown", "unknown"]),
        may("revision", "revision at which the members were compared; absent if none answered"),
        may("why", "absent if the members are consistent"),
        has("members", "").of(&MEMBER_HASH),
        has("difference_count", ""),
        has("differences", "").of(&KEY_DIFFERENCE),
    ],
);

static MEMBER_HASH: RecordSpec = record(
    "member-hash",
    "",
    "",
    &[
        has("endpoint", ""),
        has("name", "the name of the member"),
        may("id", ""),
        has("state", "").one_of(&["agrees", "deviates", "differs", "single", "unknown"]),
        may("hash", ""),
        may("compact_revision", ""),
        may("error", ""),
    ],
);

static KEY_DIFFERENCE: RecordSpec =
    record("key-difference", "", "", &[has("key", ""), has("differs", ""), has("copies", "").of(&COPY)]);

static COPY: RecordSpec = record(
    "copy",
    "",
    "A copy without the key has only the endpoint.",
    &[
        has("endpoint", ""),
        may("mod_revision", ""),
        may("version", ""),
        may("lease", ""),
        may("value_bytes", "bytes of the value"),
    ],
);

pub(super) static FORECAST: RecordSpec = record(
    "forecast",
    "status --forecast",
    "",
    &[
        has("window_ms", ""),
        has("revision", ""),
        has("revisions_per_second", ""),
        may("history", ""),
        may("compacted_meanwhile", ""),
        has("members", "").of(&MEMBER_FORECAST),
        has("remarks", ""),
    ],
);

static MEMBER_FORECAST: RecordSpec = record(
    "member-forecast",
    "",
    "A member that does not answer has the state unreachable, and an error instead of the figures.",
    &[
        has("endpoint", ""),
        may("id", ""),
        may("db_size", ""),
        may("db_size_per_second", ""),
        may("in_use", ""),
        may("in_use_per_second", ""),
        may("quota", ""),
        has("quota_in", ""),
        may("quota_seconds", ""),
        has("state", "").one_of(&["growing", "reached", "not-growing", "unknown", "unreachable"]),
        may("keep_below", ""),
        has("compact_every", ""),
        may("compact_every_seconds", ""),
        may("error", "why there is no forecast"),
    ],
);
