//! Records of `status` beyond the health of the members, of `top` and of `check`.

use super::spec::{FieldSpec, RecordSpec, has, may, record};

pub(super) static LATENCY: RecordSpec = record(
    "latency",
    "status --latency",
    "",
    &[
        has("took_ms", "milliseconds of the measurement"),
        has("interrupted", ""),
        has("probes", "").of(&PROBE),
        has("complaints", ""),
    ],
);

static PROBE: RecordSpec = record(
    "latency-probe",
    "",
    "",
    &[
        has("endpoint", ""),
        has("name", "the name of the member"),
        has("probe", "").one_of(&["serializable-read", "linearizable-read", "write"]),
        has("state", "").one_of(&["ok", "partial", "failed"]),
        has("count", "requests that were answered"),
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
        has("finding", "the finding in a sentence"),
        has("why", ""),
        has("remedy", ""),
        may("command", ""),
        has("rule", "name of the rule"),
        may("problems", ""),
    ],
);

pub(super) static CONSISTENCY: RecordSpec = record(
    "consistency",
    "status --consistency",
    "",
    &[
        has("verdict", "").one_of(&["consistent", "different", "history-differs", "unknown"]),
        may("revision", "revision at which the members were compared; absent if none answered"),
        may("why", "absent if the members are consistent"),
        has("members", "").of(&MEMBER_HASH),
        has("difference_count", ""),
        has("differences", "").of(&DIFFERENCE),
    ],
);

static MEMBER_HASH: RecordSpec = record(
    "member-hash",
    "",
    "agrees: with the majority or with all. deviates: from the majority. differs: there is no majority.",
    &[
        has("endpoint", ""),
        has("name", "the name of the member"),
        may("id", ""),
        has("state", "").one_of(&["agrees", "deviates", "differs", "unknown"]),
        may("hash", ""),
        may("compact_revision", ""),
        may("error", "why there is no hash"),
    ],
);

static DIFFERENCE: RecordSpec =
    record("member-difference", "", "", &[has("key", ""), has("differs", ""), has("copies", "").of(&COPY)]);

static COPY: RecordSpec = record(
    "key-copy",
    "",
    "Values are not printed.",
    &[
        has("endpoint", "one member that has this copy"),
        may("mod_revision", "absent if the member does not have the key"),
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
    "",
    &[
        has("endpoint", ""),
        has("id", ""),
        has("db_size", ""),
        has("db_size_per_second", ""),
        has("in_use", ""),
        has("in_use_per_second", ""),
        may("quota", ""),
        has("quota_in", ""),
        may("quota_seconds", ""),
        has("state", "").one_of(&["growing", "reached", "not-growing", "unknown"]),
        may("keep_below", ""),
        has("compact_every", ""),
        may("compact_every_seconds", ""),
    ],
);

/// The counts of a period, of a branch or of a key, each with what it says.
const EVENTS: FieldSpec = has("events", "");
const WRITES: FieldSpec = has("writes", "");
const DELETES: FieldSpec = has("deletes", "");
const BYTES: FieldSpec = has("bytes", "bytes of keys and new values");
const LEASES: &str = "distinct leases; an estimate above 64";
const KEYS: &str = "distinct keys; an estimate above 64";

pub(super) static PERIOD: RecordSpec = record(
    "activity",
    "top",
    "One object for each period. State live: all changes of the period are counted. behind: the watch is catching up. resumed: \
     the watch was interrupted; the changes of that time are counted in this period and the next ones. gap: changes were \
     compacted before they could be counted. unconfirmed: etcd has not answered for some seconds. interrupted: the watch has \
     no connection.",
    &[
        has("time", "end of the period, RFC 3339"),
        has("took_ms", "milliseconds of the period"),
        has("prefix", ""),
        has("state", "").one_of(&["live", "behind", "resumed", "gap", "unconfirmed", "interrupted"]),
        may("reason", "what is wrong; absent if the state is live"),
        may("revision", "the latest known revision of the store"),
        has("behind", "revisions that have happened and are not counted yet"),
        has("by", "the order of the branches").one_of(&["events", "bytes", "writes", "deletes"]),
        EVENTS,
        WRITES,
        DELETES,
        BYTES,
        has("keys", KEYS),
        has("keys_error", ""),
        has("leases", LEASES),
        has("leases_error", ""),
        has("error_bound", ""),
        has("branches", "").of(&BRANCH),
        may("hot_keys", "").of(&BRANCH),
    ],
);

static BRANCH: RecordSpec = record(
    "activity-branch",
    "",
    "",
    &[
        has("key", "the branch or the key"),
        may("key_cut", ""),
        has("kind", "").one_of(&["branch", "key"]),
        EVENTS,
        WRITES,
        DELETES,
        BYTES,
        may("keys", KEYS),
        may("keys_error", ""),
        may("leases", LEASES),
        may("leases_error", ""),
        may("percent", "share of all changes, in the unit of by"),
        has("error_bound", ""),
    ],
);

const CHECK_STATES: &[&str] = &["pass", "fail", "error", "skipped"];

pub(super) static CHECKS: RecordSpec = record(
    "checks",
    "check",
    "--report json writes the same object.",
    &[
        has("file", "name of the check file"),
        has("time", "when the checks were judged, RFC 3339"),
        has("took_ms", ""),
        may("cluster", ""),
        may("revision", "revision at which the rules about keys were judged; absent without such rules"),
        has("passed", ""),
        has("failed", "checks that failed"),
        has("errors", ""),
        has("skipped", "checks that were not tried"),
        has("checks", "").of(&CHECK),
    ],
);

static CHECK: RecordSpec = record(
    "check-item",
    "",
    "",
    &[
        has("name", "the name of the check"),
        has("line", ""),
        has("state", "").one_of(CHECK_STATES),
        has("took_ms", "milliseconds of the check's own requests"),
        has("rules", "").of(&RULE),
    ],
);

static RULE: RecordSpec = record(
    "check-rule",
    "",
    "",
    &[
        has("rule", "the rule's key in the file"),
        has("state", "").one_of(CHECK_STATES),
        may("expected", "what the file asks for"),
        may("found", ""),
        may("error", "why the rule cannot be judged or was not tried"),
        may("measured", ""),
        may("limit", ""),
        may("unit", "").one_of(&["count", "seconds", "bytes", "percent"]),
    ],
);

pub(super) static CHECK_PLAN: RecordSpec = record(
    "check-plan",
    "check --explain",
    "One object per rule.",
    &[
        has("check", ""),
        has("line", ""),
        has("rule", "the rule's key in the file"),
        has("reads", ""),
        has("expected", "what the file asks for"),
    ],
);
