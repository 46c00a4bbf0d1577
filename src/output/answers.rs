//! What the verbs answer, beside the keys themselves: the rest of the JSON contract.

use super::Report;
use super::record::{Field, Record, Value, always, data, table};
use crate::kvstore::{KeyValue, LeaseId, MemberStatus, OpResult, Revision, TxnResult};

/// `list --count`.
pub struct Count {
    /// The number of keys.
    pub count: u64,
    /// The revision they were counted at.
    pub revision: Revision,
}

impl Record for Count {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("count", Value::Uint(self.count)));
        visit(data("revision", Value::Int(self.revision)));
    }
}

/// `status --revision`.
pub struct RevisionOnly {
    /// The store's revision.
    pub revision: Revision,
}

impl Record for RevisionOnly {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("revision", Value::Int(self.revision)));
    }
}

/// `put KEY`.
pub struct PutAnswer<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The revision of its last change.
    pub mod_revision: Revision,
    /// Its lease.
    pub lease: Option<LeaseId>,
    /// The TTL that etcd granted for `--ttl`, in seconds.
    pub ttl: Option<i64>,
    /// Whether it was written, or so already.
    pub written: bool,
}

impl Record for PutAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let word = if self.written { "written" } else { "unchanged" };
        visit(Field { name: "outcome", value: Value::Str(word), show: super::Show::Always });
        visit(always("key", Value::Bytes(self.key)));
        visit(always("mod_revision", Value::Int(self.mod_revision)));
        visit(table("lease", Value::lease(self.lease)));
        visit(table("ttl", Value::int(self.ttl)));
        visit(data("written", Value::Bool(self.written)));
    }
}

/// `put --from`.
pub struct LoadAnswer {
    /// Records that were written (or would be).
    pub written: u64,
    /// Records that were so already.
    pub unchanged: u64,
    /// Keys that exist with another value, under `--create`.
    pub exists: u64,
    /// Records that may be in or not.
    pub unknown: u64,
    /// Leases that were granted and are in use.
    pub leases: u64,
    /// Whether nothing was written.
    pub dry_run: bool,
}

impl Record for LoadAnswer {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let name = if self.dry_run { "would_write" } else { "written" };
        visit(data(name, Value::Uint(self.written)));
        visit(data("unchanged", Value::Uint(self.unchanged)));
        visit(data("exists", Value::Uint(self.exists)));
        visit(data("unknown", Value::Uint(self.unknown)));
        visit(data("leases", Value::Uint(self.leases)));
    }
}

impl Report for LoadAnswer {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        let first = if self.dry_run { "would write" } else { "written" };
        let all = [
            (first, self.written),
            ("unchanged", self.unchanged),
            ("exists", self.exists),
            ("unknown", self.unknown),
            ("leases", self.leases),
        ];
        let shown = all.into_iter().enumerate().filter(|(index, (_, count))| *index < 2 || *count > 0);
        shown.map(|(_, (what, count))| Box::new(Tally { what, count }) as Box<dyn Record>).collect()
    }

    fn tabular(&self) -> bool {
        false
    }
}

struct Tally {
    what: &'static str,
    count: u64,
}

impl Record for Tally {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("what", Value::Str(self.what)));
        visit(always("count", Value::Uint(self.count)));
    }
}

/// `delete`.
pub struct DeleteAnswer {
    /// Keys that went.
    pub deleted: u64,
    /// Keys that would go; in a dry run.
    pub would_delete: Option<u64>,
    /// Keys that were written meanwhile and stay.
    pub kept: u64,
    /// The revision of the last removal, or the one that was looked at.
    pub revision: Revision,
}

impl Record for DeleteAnswer {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        match self.would_delete {
            Some(count) => visit(always("would_delete", Value::Uint(count))),
            None => visit(always("deleted", Value::Uint(self.deleted))),
        }
        visit(data("kept", Value::Uint(self.kept)));
        visit(data("revision", Value::Int(self.revision)));
    }
}

/// One line of `config`.
pub struct SettingRow<'a> {
    /// The key, as the file has it.
    pub key: &'a str,
    /// The effective value; secrets are redacted.
    pub value: Option<&'a str>,
    /// Where it came from.
    pub source: &'a str,
}

impl Record for SettingRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Str(self.key)));
        visit(always("value", self.value.map_or(Value::Absent, Value::Str)));
        visit(always("source", Value::Str(self.source)));
    }
}

/// One member in `status`.
pub struct MemberRow<'a> {
    /// Where it was asked.
    pub endpoint: &'a str,
    /// Its name.
    pub name: &'a str,
    /// `healthy`, `unhealthy` or `unreachable`.
    pub health: &'static str,
    /// What it says of itself.
    pub status: Option<&'a MemberStatus>,
    /// The alarms it has raised.
    pub alarms: &'a [String],
}

impl Record for MemberRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let status = self.status;
        let uint = |get: fn(&MemberStatus) -> u64| Value::uint(status.map(get));
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(data("name", Value::Str(self.name)));
        visit(always("health", Value::Str(self.health)));
        visit(always("latency_ms", status.map_or(Value::Absent, |s| Value::Millis(s.latency.as_secs_f64() * 1e3))));
        visit(always("version", status.map_or(Value::Absent, |s| Value::Str(&s.version))));
        visit(always("db_size", Value::size(status.map(|s| s.db_size))));
        visit(always("in_use", Value::size(status.map(|s| s.db_in_use))));
        visit(table("quota", Value::size(status.and_then(|s| s.quota))));
        visit(always("role", Value::Str(status.map_or("", role))));
        visit(table("term", uint(|s| s.raft_term)));
        visit(table("index", uint(|s| s.raft_index)));
        visit(data("applied", uint(|s| s.raft_applied)));
        visit(data("revision", Value::int(status.map(|s| s.revision))));
        visit(data("id", status.map_or(Value::Absent, |s| Value::Hex(s.id))));
        visit(data("leader", status.map_or(Value::Absent, |s| Value::Hex(s.leader))));
        visit(data("learner", status.map_or(Value::Absent, |s| Value::Bool(s.learner))));
        visit(always("alarms", Value::Strings(self.alarms)));
    }
}

fn role(status: &MemberStatus) -> &'static str {
    match status {
        status if status.learner => "learner",
        status if status.leader == 0 => "no leader",
        status if status.leader == status.id => "leader",
        _ => "follower",
    }
}

/// `status`.
pub struct StatusAnswer<'a> {
    /// `healthy`, `degraded` or `no-quorum`.
    pub verdict: &'static str,
    /// How the quorum is known: `proved`, `read` or `none`.
    pub quorum: &'static str,
    /// How long the write that proves it took, in milliseconds.
    pub quorum_ms: Option<f64>,
    /// The cluster's ID.
    pub cluster: Option<u64>,
    /// The newest revision that a member has.
    pub revision: Option<Revision>,
    /// All members.
    pub members: &'a [MemberRow<'a>],
    /// All that is wrong.
    pub complaints: &'a [String],
}

impl Record for StatusAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("health", Value::Str(self.verdict)));
        visit(always("quorum", Value::Str(self.quorum)));
        visit(data("quorum_ms", self.quorum_ms.map_or(Value::Absent, Value::Millis)));
        visit(always("cluster", self.cluster.map_or(Value::Absent, Value::Hex)));
        visit(always("revision", Value::int(self.revision)));
        visit(always("members", Value::Records(self.members.iter().map(|row| row as &dyn Record).collect())));
        visit(always("complaints", Value::Strings(self.complaints)));
    }
}

impl Report for StatusAnswer<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        self.members.iter().map(|row| Box::new(Borrowed(row)) as Box<dyn Record>).collect()
    }

    fn tabular(&self) -> bool {
        true
    }

    fn remarks(&self) -> &[String] {
        self.complaints
    }
}

struct Borrowed<'a>(&'a dyn Record);

impl Record for Borrowed<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        self.0.fields(visit);
    }
}

/// `txn`.
pub struct TxnAnswer<'a> {
    /// What etcd answered.
    pub result: &'a TxnResult,
    /// Whether nothing was written.
    pub dry_run: bool,
}

fn branch(succeeded: bool) -> &'static str {
    if succeeded { "then" } else { "else" }
}

impl Record for TxnAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("branch", Value::Str(branch(self.result.succeeded))));
        visit(always("revision", Value::Int(self.result.revision)));
        visit(data("succeeded", Value::Bool(self.result.succeeded)));
        if self.dry_run {
            visit(data("dry_run", Value::Bool(true)));
        }
        visit(data("results", records(&self.result.results)));
    }
}

fn records(results: &[OpResult]) -> Value<'_> {
    Value::Records(results.iter().map(|result| result as &dyn Record).collect())
}

fn kvs(kvs: &[KeyValue]) -> Value<'_> {
    Value::Records(kvs.iter().map(|kv| kv as &dyn Record).collect())
}

impl Record for OpResult {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        match self {
            Self::Put { prev } => {
                visit(always("op", Value::Str("put")));
                if let Some(prev) = prev {
                    visit(data("prev", kvs(std::slice::from_ref(prev))));
                }
            }
            Self::Get { kvs: found, count, more } => {
                visit(always("op", Value::Str("get")));
                visit(always("count", Value::Uint(*count)));
                visit(data("more", Value::Bool(*more)));
                visit(data("kvs", kvs(found)));
            }
            Self::Delete { deleted, prev } => {
                visit(always("op", Value::Str("delete")));
                visit(always("deleted", Value::Uint(*deleted)));
                if !prev.is_empty() {
                    visit(data("prev", kvs(prev)));
                }
            }
            Self::Txn { succeeded, results } => {
                visit(always("op", Value::Str("txn")));
                visit(always("branch", Value::Str(branch(*succeeded))));
                visit(data("succeeded", Value::Bool(*succeeded)));
                visit(data("results", records(results)));
            }
        }
    }
}

impl Report for TxnAnswer<'_> {
    /// The branch, then each result with the records it brought indented behind it.
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        let mut rows: Vec<Box<dyn Record + '_>> = vec![Box::new(Borrowed(self))];
        results(&mut rows, &self.result.results);
        rows
    }

    fn tabular(&self) -> bool {
        false
    }
}

fn results<'a>(rows: &mut Vec<Box<dyn Record + 'a>>, all: &'a [OpResult]) {
    for result in all {
        rows.push(Box::new(Borrowed(result)));
        match result {
            OpResult::Put { prev } => {
                rows.extend(prev.iter().map(|kv| Box::new(Brought("prev", kv)) as Box<dyn Record>))
            }
            OpResult::Get { kvs, .. } => {
                rows.extend(kvs.iter().map(|kv| Box::new(Brought("kv", kv)) as Box<dyn Record>));
            }
            OpResult::Delete { prev, .. } => {
                rows.extend(prev.iter().map(|kv| Box::new(Brought("prev", kv)) as Box<dyn Record>));
            }
            OpResult::Txn { results: nested, .. } => results(rows, nested),
        }
    }
}

/// A record that an operation brought, behind a word that says so.
struct Brought<'a>(&'static str, &'a KeyValue);

impl Record for Brought<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("what", Value::Str(self.0)));
        self.1.fields(visit);
    }
}
