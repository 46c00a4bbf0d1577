//! Records of `snapshot`.

use super::{Field, Record, Value, always, data};
use crate::kvstore::Revision;

/// A snapshot that `snapshot save` has saved, or would save.
#[derive(Debug, Default)]
pub struct SavedSnapshot<'a> {
    /// The file; `-` for stdout.
    pub file: &'a str,
    /// The endpoint of the member that the snapshot is of.
    pub endpoint: &'a str,
    /// The member's ID; `None` if it does not tell it.
    pub member: Option<u64>,
    /// The store's revision in the snapshot; `None` if it changed while a snapshot was written to stdout.
    pub revision: Option<Revision>,
    /// The lowest revision that the snapshot may have, if its revision is unknown.
    pub revision_at_least: Option<Revision>,
    /// How many revisions the member is behind the most advanced one of the others; `None` if no other member answered.
    pub behind: Option<u64>,
    /// Number of stored revisions of keys, tombstones included; `None` for a snapshot that was written to stdout.
    pub revisions: Option<u64>,
    /// Length in bytes, the SHA-256 included.
    pub size: u64,
    /// The SHA-256 of the database in hex; `None` in a dry run.
    pub sha256: Option<&'a str>,
    /// The version of the server.
    pub server_version: Option<&'a str>,
    /// The version of the database's schema; `None` before etcd 3.6.
    pub storage_version: Option<&'a str>,
    /// Duration in milliseconds; `None` in a dry run.
    pub took_ms: Option<f64>,
    /// Whether it was a dry run.
    pub dry_run: bool,
}

impl Record for SavedSnapshot<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("file", Value::Str(self.file)));
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(data("member", self.member.map_or(Value::Absent, Value::Hex)));
        visit(always("revision", Value::int(self.revision)));
        visit(data("revision_at_least", Value::int(self.revision_at_least)));
        visit(always("behind", Value::uint(self.behind)));
        visit(always("revisions", Value::uint(self.revisions)));
        visit(always("size", Value::Size(self.size)));
        visit(always("sha256", Value::str(self.sha256)));
        visit(always("server_version", Value::str(self.server_version)));
        visit(data("storage_version", Value::str(self.storage_version)));
        visit(always("took_ms", self.took_ms.map_or(Value::Absent, Value::Millis)));
        visit(data("dry_run", if self.dry_run { Value::Bool(true) } else { Value::Absent }));
    }
}

/// What `snapshot verify` has found. Numbers are absent if damage hides them.
#[derive(Debug, Default)]
pub struct VerifiedSnapshot<'a> {
    /// The file.
    pub file: &'a str,
    /// `intact`, `unproved` or `damaged`.
    pub result: &'static str,
    /// Number of problems; a SHA-256 that does not match is one.
    pub damages: u64,
    /// The first problems in the pages.
    pub damage: &'a [DamageRow],
    /// `verified`, `absent` or `mismatch`.
    pub sha256_state: &'static str,
    /// The SHA-256 of the database in hex, if the file has one.
    pub sha256: Option<&'a str>,
    /// etcd's HashKV.
    pub hash: Option<u32>,
    /// The revision of the hash.
    pub hash_revision: Option<Revision>,
    /// The compact revision; 0 if the store was never compacted.
    pub compact_revision: Option<Revision>,
    /// The revision of the last complete compaction, if a later one had begun.
    pub compacted: Option<Revision>,
    /// The latest revision.
    pub revision: Option<Revision>,
    /// Number of stored revisions of keys, tombstones included.
    pub revisions: u64,
    /// Number of keys at the latest revision.
    pub keys: Option<u64>,
    /// Number of stored deletions.
    pub tombstones: u64,
    /// Number of leases.
    pub leases: u64,
    /// Length of the file in bytes.
    pub size: u64,
    /// Length of a page in bytes.
    pub page_size: u64,
    /// Bytes of free pages in the file.
    pub free: u64,
    /// The version of the database's schema; `None` before etcd 3.6.
    pub storage_version: Option<&'a str>,
    /// The version that all members had reached.
    pub cluster_version: Option<&'a str>,
    /// The index of the last applied raft entry.
    pub index: Option<u64>,
    /// The raft term; `None` before etcd 3.5.
    pub term: Option<u64>,
    /// Whether requests need a login.
    pub auth: bool,
    /// Number of users.
    pub users: u64,
    /// Number of roles.
    pub roles: u64,
    /// The raised alarms.
    pub alarms: &'a [String],
    /// The members of the cluster.
    pub members: &'a [StoredMemberRow<'a>],
}

impl Record for VerifiedSnapshot<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("file", Value::Str(self.file)));
        visit(always("result", Value::Str(self.result)));
        visit(always("damages", Value::Uint(self.damages)));
        visit(data("damage", Value::records(self.damage.iter())));
        visit(always("sha256_state", Value::Str(self.sha256_state)));
        visit(always("sha256", Value::str(self.sha256)));
        visit(always("hash", Value::ordinal(self.hash.map(u64::from))));
        visit(always("hash_revision", Value::int(self.hash_revision)));
        visit(always("compact_revision", Value::int(self.compact_revision)));
        visit(always("compacted", Value::int(self.compacted)));
        visit(always("revision", Value::int(self.revision)));
        visit(always("revisions", Value::Uint(self.revisions)));
        visit(always("keys", Value::uint(self.keys)));
        visit(always("tombstones", Value::Uint(self.tombstones)));
        visit(always("leases", Value::Uint(self.leases)));
        visit(always("size", Value::Size(self.size)));
        visit(always("page_size", Value::Size(self.page_size)));
        visit(always("free", Value::Size(self.free)));
        visit(always("storage_version", Value::str(self.storage_version)));
        visit(always("cluster_version", Value::str(self.cluster_version)));
        visit(always("index", Value::ordinal(self.index)));
        visit(always("term", Value::ordinal(self.term)));
        visit(always("auth", Value::Bool(self.auth)));
        visit(always("users", Value::Uint(self.users)));
        visit(always("roles", Value::Uint(self.roles)));
        visit(always("alarms", Value::Strings(self.alarms)));
        visit(always("members", Value::records(self.members.iter())));
    }
}

/// Where a database is damaged.
#[derive(Debug)]
pub struct DamageRow {
    /// The page's ID.
    pub page: u64,
    /// The offset in the file in bytes.
    pub offset: u64,
    /// What is wrong.
    pub error: String,
}

impl Record for DamageRow {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("page", Value::Ordinal(self.page)));
        visit(always("offset", Value::Ordinal(self.offset)));
        visit(always("error", Value::Str(&self.error)));
    }
}

/// A member as a database names it.
#[derive(Debug)]
pub struct StoredMemberRow<'a> {
    /// The member's ID.
    pub id: u64,
    /// The member's name.
    pub name: &'a str,
    /// Where other members reach it.
    pub peer_urls: &'a [String],
}

impl Record for StoredMemberRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("id", Value::Hex(self.id)));
        visit(always("name", Value::Str(self.name)));
        visit(always("peer_urls", Value::Strings(self.peer_urls)));
    }
}
