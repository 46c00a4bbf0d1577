//! The names of all fields, each with its one type.

use super::spec::JsonType::{Bool, Bytes, Facts, Id, Int, Message, Number, Object, Objects, Text, Texts};
use super::spec::{JsonType, NameSpec};

const fn n(name: &'static str, kind: JsonType, about: &'static str) -> NameSpec {
    NameSpec { name, kind, about }
}

/// All names, in the order of the alphabet.
///
/// One name has two types: `version` is the number of a key's changes, and the text of a program's version.
pub const NAMES: &[NameSpec] = &[
    n("access", Text, ""),
    n("action", Text, "what was requested"),
    n("additions", Int, "number of changes that only add"),
    n("administrator", Bool, "whether the user has the role root"),
    n("advice", Objects, "what to do, the most urgent first"),
    n("agreed", Int, "candidates that all scans agree on"),
    n("alarms", Texts, "active alarms"),
    n("already", Bool, "whether the store was compacted to this revision before"),
    n("applied", Int, "index of the last applied entry of raft"),
    n("attached", Objects, "the keys of the lease"),
    n("auth", Bool, "whether requests need a login"),
    n("auth_revision", Int, "number of changes of users and roles so far"),
    n("authentication", Text, ""),
    n("behind", Int, "revisions behind the most advanced other member; absent if none answered"),
    n("branch", Text, "the branch that was executed"),
    n("branches", Objects, "the busiest branches"),
    n("busy", Int, "candidates that other clients were using"),
    n("by", Text, "why the step leads to this object"),
    n("bytes", Int, "bytes of keys and values"),
    n("caused_by", Texts, "the causes, the outermost first"),
    n("certainty", Text, ""),
    n("change", Text, ""),
    n("changed", Int, "candidates that changed after the scan"),
    n("changes", Int, "changes of the source that were applied one by one"),
    n("changes_per_second", Int, "changes per second since the last record"),
    n("check", Text, "name of the check"),
    n("checks", Objects, "one object per check, in the order of the file"),
    n("chosen_by", Text, "why the file is in use; absent if it is not"),
    n("client_urls", Texts, "addresses for clients"),
    n("clock", Bytes, "the key that tells the time"),
    n("cluster", Id, "the cluster's ID"),
    n("cluster_version", Text, "version of the cluster"),
    n("cmd", Text, "the owner's command"),
    n("command", Text, "a command that helps; absent if none does"),
    n("compact_every", Text, "period of compaction that keeps the store below keep_below, for people"),
    n("compact_every_seconds", Int, "the same in seconds"),
    n("compact_revision", Int, "revision of the last compaction; 0 if never compacted"),
    n("compacted", Int, "revision of the compaction"),
    n("compacted_meanwhile", Bool, "whether the store was compacted between the samples; absent if not known"),
    n("complaints", Texts, "what is wrong, in sentences"),
    n("condition", Object, "the condition that did not hold"),
    n("conflicts", Int, "keys that others changed meanwhile, and that were left"),
    n("context", Text, "name of the context"),
    n("copied", Int, "keys that comparisons have written or deleted"),
    n("copies", Objects, "one object per hash"),
    n("count", Int, "number of keys or records"),
    n("create_revision", Int, "revision in which the key was created"),
    n("created", Int, "number of keys that were created"),
    n("current", Int, "the store's revision"),
    n("damage", Objects, "the first 20 problems in pages"),
    n("damages", Int, "number of problems"),
    n("db_size", Int, "bytes of the database file"),
    n("db_size_after", Int, "bytes of the database file afterwards"),
    n("db_size_before", Int, "bytes of the database file before"),
    n("db_size_per_second", Int, "growth of the database file in bytes"),
    n("defrag", Text, "outcome of the defragmentation"),
    n("deleted", Int, "number of keys that were deleted"),
    n("deletes", Int, "number of deletions"),
    n("depth", Int, "level below the prefix, from 1"),
    n("destination_revision", Int, "revision of the destination"),
    n("detail", Text, "what the step found"),
    n("difference_count", Int, "number of keys that differ"),
    n("differences", Objects, "the first 20 keys that differ"),
    n("differs", Texts, "what differs: missing, value, mod_revision, create_revision, version or lease"),
    n("disarmed", Texts, "IDs of the members whose alarms were disarmed"),
    n("downgrade", Object, "whether a downgrade of etcd is enabled"),
    n("dry_run", Bool, "true, with --dry-run: nothing was changed"),
    n("edges", Int, "references between objects"),
    n("enabled", Bool, "whether it is enabled"),
    n("endpoint", Text, "address of the member"),
    n("endpoints", Texts, "addresses of the members"),
    n("environment", Texts, "environment of the new process: NAME=VALUE"),
    n("error", Text, "what failed"),
    n("error_bound", Int, "the most that a count of a branch may be too low, in the unit of by"),
    n("errors", Int, "number of checks that cannot be judged"),
    n("event", Text, ""),
    n("events", Int, "number of changes"),
    n("exists", Int, "records that were not loaded because their keys exist"),
    n("exit_code", Int, "the exit code"),
    n("expected", Text, "what the file asks for"),
    n("expired", Text, "when the object's lease expired"),
    n("facts", Facts, "what the step found, as fields that differ from step to step"),
    n("failed", Int, "candidates whose deletion failed"),
    n("failures", Int, "number of requests that failed"),
    n("feature", Text, "name of a feature gate"),
    n("features", Objects, "the feature gates of the member"),
    n("field", Text, "the field that cannot be decoded"),
    n("file", Text, "name of the file"),
    n("finding", Text, "kind of the finding"),
    n("flat", Bool, "true: the reference protects the object alone, not what the object refers to"),
    n("found", Text, "what is there instead"),
    n("free", Int, "bytes of free pages"),
    n("garbage", Int, "candidates"),
    n("garbage_bytes", Int, "bytes of the candidates"),
    n("gone", Int, "candidates that others deleted"),
    n("hash", Int, "etcd's HashKV"),
    n("hash_revision", Int, "revision of the hash"),
    n("health", Text, ""),
    n("held_back", Int, "candidates that were kept because others depend on them"),
    n("hints", Texts, "suggestions"),
    n("history", Int, "revisions since the last compaction; absent if not known"),
    n("host", Text, "the owner's host"),
    n("hot_keys", Objects, "with --keys: the busiest keys"),
    n("id", Id, "the ID"),
    n("identity", Bytes, "the object's name within its scope"),
    n("in_use", Int, "bytes of the database in use"),
    n("in_use_after", Int, "bytes in use afterwards"),
    n("in_use_before", Int, "bytes in use before"),
    n("in_use_per_second", Int, "growth of the bytes in use"),
    n("index", Int, "index of raft"),
    n("interrupted", Bool, "whether a signal or the deadline ended it early"),
    n("keep_below", Int, "bytes below which the store should stay"),
    n("kept", Int, "keys that others wrote meanwhile, and that were kept"),
    n("key", Bytes, "the key"),
    n("key_bytes", Int, "bytes of the keys"),
    n("key_cut", Bool, "true: key is the beginning of a longer key"),
    n("keys", Int, "number of keys"),
    n("keys_error", Int, "error of keys: in 19 of 20 cases, the true number differs by at most this"),
    n("kind", Text, ""),
    n("kvs", Objects, "the keys that were found"),
    n("lag", Int, "entries of the raft log that a follower has applied less than the leader"),
    n("last_use", Bool, "whether no other node uses the ID"),
    n("latency_ms", Number, "milliseconds until the member answered"),
    n("leader", Id, "ID of the leader; absent without one"),
    n("learner", Bool, "whether the member is a learner"),
    n("lease", Id, "the lease; absent without one"),
    n("leased", Int, "masters on a lease, which are never candidates"),
    n("leases", Int, "number of leases"),
    n("leases_error", Int, "error of leases, as keys_error"),
    n("left", Int, "seconds until the lease expires"),
    n("limited", Bool, "whether --limit ended the output"),
    n("line", Int, "line of the file, from 1"),
    n("live_bytes", Int, "bytes of the keys that exist"),
    n("livez", Text, "the member's answer to /livez, which tells whether it must be restarted"),
    n("login", Text, "how etcd recognizes the user"),
    n("looked_at", Int, "entries that were scanned"),
    n("lower_limit", Number, "the least that the rule allows, or the limit above which it holds"),
    n("made", Int, "number of changes that were made"),
    n("max_ms", Number, "the longest, in milliseconds; absent if none was answered"),
    n("measured", Number, "the figure that was compared"),
    n("member", Id, "the member's ID"),
    n("members", Objects, "the members"),
    n("memory", Int, "bytes of memory"),
    n("mod_revision", Int, "revision of the last change"),
    n("mode", Text, ""),
    n("modified", Int, "number of keys that were modified"),
    n("more", Bool, "whether more keys match than were requested"),
    n("ms", Number, "milliseconds"),
    n("name", Bytes, "the name"),
    n("namespace", Bytes, "the namespace; absent without one"),
    n("new", Bool, "whether the ID is new"),
    n("node", Bytes, "the node"),
    n("nodes", Int, "number of nodes that use the ID"),
    n("objects", Int, "number of objects"),
    n("offset", Int, "bytes from the beginning of the file"),
    n("ok", Bool, "whether no step failed"),
    n("op", Text, "the operation"),
    n("order", Int, "place in the queue, from 0"),
    n("outcome", Text, ""),
    n("outside", Int, "number of keys outside the namespace; absent without any"),
    n("overridden", Texts, "values of weaker sources, each with its source"),
    n("overwritten", Int, "changes of other clients that were overwritten"),
    n("owner", Text, "the owner in one line"),
    n("p50_ms", Number, "median in milliseconds; absent if none was answered"),
    n("p90_ms", Number, "90th percentile in milliseconds"),
    n("p99_ms", Number, "99th percentile in milliseconds"),
    n("page", Int, "number of the page"),
    n("page_size", Int, "bytes of a page"),
    n("parts", Objects, "one object per kind of the schema"),
    n("passed", Int, "number of checks that passed"),
    n("path", Objects, "the way from a root, the root first"),
    n("paths", Objects, "the keys concerned"),
    n("peer_urls", Texts, "addresses for other members"),
    n("percent", Number, "share of the quota"),
    n("permissions", Objects, "what the role allows"),
    n("phase", Text, ""),
    n("phases", Objects, "one object per phase"),
    n("physical", Bool, "whether a member has removed the old revisions"),
    n("pid", Int, "the owner's process"),
    n("possible_target", Text, "the version that the cluster can be downgraded to"),
    n("prefix", Bytes, "the prefix"),
    n("prev", Objects, "the keys as they were before"),
    n("prev_key", Bytes, "the key that the ID had before"),
    n("prev_lease", Id, "the lease in the source"),
    n("prev_mod_revision", Int, "revision of the previous value"),
    n("prev_value", Message, "the previous value"),
    n("previous", Text, "the default context before"),
    n("probe", Text, ""),
    n("probes", Objects, "one object per member and kind of request"),
    n("problem", Text, "kind of the problem"),
    n("problems", Texts, "IDs of known problems, the worst first"),
    n("quorum", Text, ""),
    n("quorum_ms", Number, "milliseconds of the proof"),
    n("quota", Int, "bytes that the database may have; absent if the server does not report it"),
    n("quota_in", Text, "time until the quota is reached, for people"),
    n("quota_seconds", Int, "seconds until the bytes in use reach the quota"),
    n("range", Text, "the form of the range"),
    n("range_end", Bytes, "the end of the range, which is not included"),
    n("reachable", Int, "objects that roots reach"),
    n("reads", Text, "what the rule reads"),
    n("readyz", Text, "the member's answer to /readyz, which tells whether it can serve clients"),
    n("reason", Text, "the reason for the state"),
    n("references", Objects, "the nodes that use the ID"),
    n("referrers", Objects, "the objects that refer to this one"),
    n("refused", Int, "refused transactions"),
    n("remarks", Texts, "what limits the forecast"),
    n("remedy", Text, "what to do"),
    n("removals", Int, "number of changes that remove"),
    n("removed", Int, "candidates that were deleted"),
    n("removed_bytes", Int, "bytes of the deleted keys"),
    n("removed_keys", Int, "number of deleted keys"),
    n("repair", Text, ""),
    n("replacements", Int, "number of permissions that become lesser or other ones"),
    n("restored", Int, "IDs that an agent used meanwhile, and that were written again"),
    n("result", Text, ""),
    n("results", Objects, "one object per operation"),
    n("revision", Int, "the store's revision"),
    n("revision_after", Int, "the member's revision afterwards"),
    n("revision_at_least", Int, "instead of revision, if the store changed meanwhile"),
    n("revision_before", Int, "the member's revision before"),
    n("revisions", Int, "number of stored revisions"),
    n("revisions_per_key", Number, "stored revisions per key"),
    n("revisions_per_second", Number, "revisions per second between the samples"),
    n("role", Text, ""),
    n("roles", Int, "number of roles"),
    n("root_ready", Bool, "whether the user root exists and has the role root"),
    n("roots", Int, "number of roots"),
    n("round", Int, "number of the round, from 1"),
    n("rule", Text, "name of the rule"),
    n("rules", Objects, "one object per rule"),
    n("scope", Bytes, "the scope of the object"),
    n("seen", Int, "seconds for which the candidate was seen unchanged"),
    n("server_version", Text, "version of the member"),
    n("serves", Bool, "whether the endpoint answers requests"),
    n("severity", Text, ""),
    n("sha256", Text, "SHA-256 of the database in hexadecimal digits"),
    n("sha256_state", Text, ""),
    n("shared", Bool, "whether the lock is a shared one"),
    n("since", Text, "when the owner queued, by its own clock"),
    n("size", Int, "bytes of the file"),
    n("skipped", Int, "entries that cannot be judged, and that were kept"),
    n("source", Text, "where it comes from"),
    n("source_revision", Int, "revision of the source"),
    n("stage", Text, "how far the development of the feature is, such as ALPHA"),
    n("state", Text, ""),
    n("status", Text, ""),
    n("step", Text, ""),
    n("steps", Objects, "one object per step"),
    n("storage_version", Text, "version of the database's format (etcd 3.6 and later)"),
    n("store", Text, "the other store: absent for the store of the command itself; cache/CLUSTER for a copy"),
    n("subject", Text, "endpoints, a member, a file or cluster"),
    n("succeeded", Bool, "whether the conditions held"),
    n("superseded_bytes", Int, "bytes of all other stored revisions"),
    n("target_version", Text, ""),
    n("term", Int, "term of raft"),
    n("text", Text, "the finding in a sentence"),
    n("time", Text, "RFC 3339"),
    n("tls", Bool, "whether an endpoint has TLS"),
    n("token", Text, "the token for --if-locked"),
    n("tombstones", Int, "number of stored deletions"),
    n("took_ms", Number, "milliseconds"),
    n("trailer", Object, "what the listing was"),
    n("transactions", Int, "number of transactions"),
    n("ttl", Int, "granted TTL in seconds"),
    n("unchanged", Int, "keys that are the same"),
    n("unit", Text, ""),
    n("unknown", Int, "writes of which it is unknown whether etcd applied them"),
    n("unresolved", Int, "references without a target; absent without any"),
    n("unverified", Int, "IDs whose check after the deletion failed"),
    n("upper_limit", Number, "the most that the rule allows, or the limit below which it holds"),
    n("user", Text, "the owner's user"),
    n("user_roles", Texts, "the roles of the user"),
    n("users", Int, "number of users"),
    n("value", Message, "the value"),
    n("value_bytes", Int, "bytes of the values"),
    n("value_cut", Bool, "true: value is the beginning of a longer value"),
    n("verdict", Text, ""),
    n("version", Int, "number of changes since the key was created"),
    n("voters", Int, "members with a vote after the step"),
    n("voters_answering", Int, "those of them that answer"),
    n("waiting", Int, "number of waiters"),
    n("why", Text, "the reason"),
    n("window_ms", Number, "milliseconds between the samples"),
    n("would_compact", Int, "revision of the compaction"),
    n("would_create", Int, "keys to create"),
    n("would_defrag", Texts, "endpoints to defragment, in order"),
    n("would_delete", Int, "keys to delete"),
    n("would_disarm", Texts, "IDs of the members whose alarms to disarm"),
    n("would_modify", Int, "keys to modify"),
    n("would_write", Int, "records to write"),
    n("writes", Int, "number of writes"),
    n("written", Int, "records that were written"),
    n("young", Int, "candidates that are too young"),
];

/// The entry of a name.
pub fn name(name: &str) -> Option<&'static NameSpec> {
    NAMES.binary_search_by(|entry| entry.name.cmp(name)).ok().map(|at| &NAMES[at])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::output::contract::cluster::ERROR;
    use crate::output::contract::spec::RecordSpec;
    use crate::output::contract::verbs::VERBS;

    /// All records, also those inside of others.
    fn records() -> Vec<&'static RecordSpec> {
        fn add(record: &'static RecordSpec, all: &mut Vec<&'static RecordSpec>) {
            if !all.iter().any(|other| std::ptr::eq(*other, record)) {
                all.push(record);
                record.fields.iter().filter_map(|field| field.holds).for_each(|inner| add(inner, all));
            }
        }
        let mut all = Vec::new();
        add(&ERROR, &mut all);
        for verb in VERBS {
            verb.stdout.iter().chain(verb.stderr).for_each(|record| add(record, &mut all));
        }
        all
    }

    #[test]
    fn the_names_are_sorted_and_each_is_used() {
        assert!(NAMES.is_sorted_by(|one, next| one.name < next.name));
        let used: BTreeSet<&str> = records().iter().flat_map(|record| record.fields).map(|field| field.name).collect();
        let unused: Vec<&str> = NAMES.iter().map(|entry| entry.name).filter(|name| !used.contains(name)).collect();
        assert!(unused.is_empty(), "no record has {unused:?}");
        let unknown: Vec<&str> = used.into_iter().filter(|used| name(used).is_none()).collect();
        assert!(unknown.is_empty(), "names.rs lacks {unknown:?}");
    }

    /// One name, one type: only the version of a program differs from that of a key, and a file of users and roles has these
    /// themselves, where a record of a snapshot has their numbers.
    #[test]
    fn a_name_has_one_type() {
        let fields = || records().into_iter().flat_map(|record| record.fields);
        let other: BTreeSet<&str> = fields().filter(|field| field.kind.is_some()).map(|field| field.name).collect();
        assert_eq!(other, BTreeSet::from(["roles", "users", "version"]));
        for field in fields() {
            let kind = name(field.name).map(|entry| entry.kind);
            assert_eq!(matches!(kind, Some(Object | Objects)), field.holds.is_some(), "{}", field.name);
            assert!(field.values.is_empty() || kind == Some(Text), "{}", field.name);
        }
    }

    #[test]
    fn a_record_has_one_name_and_a_field_is_in_it_once() {
        let mut ids = BTreeSet::new();
        for record in records() {
            assert!(ids.insert(record.id), "two records are called {}", record.id);
            let mut names = BTreeSet::new();
            assert!(record.fields.iter().all(|field| names.insert(field.name)), "{}", record.id);
        }
    }
}
