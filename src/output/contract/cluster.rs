//! Records of the cluster's state, of the settings and of errors.

use super::spec::{JsonType, RecordSpec, has, may, record};

/// The errors of all verbs, on standard error.
pub static ERROR: RecordSpec = record(
    "error",
    "every verb",
    "On standard error. The exit codes are in kvadm(1). A one-shot command that a signal ends prints this object as well, with \
     128 and the number of the signal as exit_code. A command that runs until a signal ends it prints none, \
     nor does 'lock' while it waits; 'status --latency' prints its figures instead, with interrupted.",
    &[
        has("error", ""),
        has("caused_by", ""),
        has("hints", ""),
        has("exit_code", ""),
        may("condition", "with the exit code 5, if a condition on one key did not hold").of(&CONDITION),
    ],
);

static CONDITION: RecordSpec = record(
    "condition",
    "",
    "exists: the key exists, although it must not. missing: the key does not exist. revision, value: the key has another one. \
     lock: the lock of --if-locked is lost.",
    &[
        has("kind", "").one_of(&["exists", "missing", "revision", "value", "lock"]),
        has("key", "the key of the condition"),
        may("mod_revision", "the key's present revision; absent if the key does not exist"),
        may("value", "the key's present value"),
    ],
);

pub(super) static STATUS: RecordSpec = record(
    "cluster-status",
    "status",
    "",
    &[
        may("time", "with --watch: RFC 3339"),
        has("health", "").one_of(&["healthy", "degraded", "unknown", "no-quorum"]),
        has("quorum", "with --serializable always unknown").one_of(&["proved", "read", "unknown", "none"]),
        may("quorum_ms", ""),
        may("cluster", ""),
        may("revision", ""),
        has("members", "").of(&MEMBER),
        has("complaints", ""),
    ],
);

static MEMBER: RecordSpec = record(
    "member",
    "",
    "A member that does not answer has endpoint, name, health, role and alarms.",
    &[
        has("endpoint", ""),
        has("name", "the name of the member"),
        has("health", "").one_of(&["healthy", "unhealthy", "unreachable"]),
        may("lag", ""),
        may("latency_ms", ""),
        may("version", "version of the member").typed(JsonType::Text),
        may("db_size", ""),
        may("in_use", ""),
        may("quota", ""),
        has("role", "").one_of(&["leader", "follower", "learner", "no leader", ""]),
        may("term", ""),
        may("index", ""),
        may("applied", ""),
        may("revision", "the member's revision"),
        may("id", ""),
        may("leader", ""),
        may("learner", ""),
        may("storage_version", "etcd 3.6 and later"),
        may("downgrade", "etcd 3.6 and later").of(&DOWNGRADE_STATE),
        may("livez", "with --probes").one_of(HEALTH_CHECKS),
        may("readyz", "with --probes").one_of(HEALTH_CHECKS),
        may("features", "with --probes; none before etcd 3.6").of(&FEATURE),
        has("alarms", ""),
    ],
);

/// The results of a health check over HTTP.
const HEALTH_CHECKS: &[&str] = &["ok", "failed", "not-served", "unknown"];

static DOWNGRADE_STATE: RecordSpec = record(
    "downgrade-state",
    "",
    "",
    &[has("enabled", ""), may("target_version", "the version of the enabled downgrade")],
);

static FEATURE: RecordSpec = record("feature", "", "", &[has("feature", ""), has("stage", ""), has("enabled", "")]);

pub(super) static REVISION: RecordSpec = record("revision", "status --revision", "", &[has("revision", "")]);

pub(super) static DIAGNOSIS: RecordSpec = record(
    "diagnosis",
    "status --diagnose, config test",
    "One object per endpoint. 'config test' prints one for the files first, with the endpoint configuration.",
    &[has("endpoint", ""), has("ok", ""), has("serves", ""), has("steps", "").of(&STEP)],
);

static STEP: RecordSpec = record(
    "diagnosis-step",
    "",
    "",
    &[
        has("step", "").one_of(&[
            "file", "ca", "cert", "key", "password", "token", "srv", "resolve", "tcp", "socket", "tls", "http2",
            "auth", "leader", "quorum", "alarms", "quota",
        ]),
        has("state", "").one_of(&["ok", "failed", "skipped"]),
        may("ms", ""),
        may("detail", ""),
        has("facts", ""),
        may("error", ""),
        may("remedy", ""),
    ],
);

pub(super) static SETTING: RecordSpec = record(
    "setting",
    "config",
    "",
    &[
        has("key", "the key of the configuration file"),
        may("value", "the effective value; secrets are not shown"),
        has("source", ""),
        has("overridden", ""),
    ],
);

pub(super) static CONTEXT: RecordSpec = record(
    "context",
    "config list",
    "One object per context, and one for the file in use if it is no context.",
    &[
        may("context", "absent for a file that is no context"),
        may("chosen_by", ""),
        has("endpoints", "those that the file names; srv://DOMAIN if SRV records do"),
        may("user", "the user of etcd"),
        may("tls", "absent if the file cannot be used"),
        has("file", "path of the file"),
        may("error", "why the file cannot be used"),
    ],
);

pub(super) static NEW_CONTEXT: RecordSpec = record(
    "new-context",
    "config init",
    "",
    &[has("context", ""), has("endpoints", ""), has("file", "path of the file"), may("dry_run", "")],
);

pub(super) static CHOSEN_CONTEXT: RecordSpec = record(
    "chosen-context",
    "config use",
    "",
    &[may("context", "the default context; absent if there is none"), may("previous", ""), may("dry_run", "")],
);

pub(super) static VERSION: RecordSpec =
    record("version", "version", "", &[has("version", "version of kvadm").typed(JsonType::Text)]);
