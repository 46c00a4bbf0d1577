//! What a database holds besides the values: counts, and the facts that a report shows. Checks each element while a walk
//! visits it.

use serde::Deserialize;

use super::bolt::{Element, ElementCheck};
use super::hash_kv::HashKv;
use super::monitor::VerifyMonitor;
use super::revision_check::RevisionCheck;
use super::schema::{
    ALARM_BUCKET, AUTH_BUCKET, CLUSTER_BUCKET, CONSISTENT_INDEX, FINISHED_COMPACTION, KEY_BUCKET, LEASE_BUCKET,
    MEMBER_BUCKET, META_BUCKET, ROLE_BUCKET, RecordView, RevisionKey, SCHEDULED_COMPACTION, STORAGE_VERSION, TERM,
    USER_BUCKET, number, varint,
};
use crate::kvstore::{Revision, types};

/// Members and alarms that are kept: more than a cluster has.
const MAX_LISTED: usize = 64;
/// Bytes of a version that are kept.
const MAX_VERSION_BYTES: usize = 32;

/// A member of the cluster, as the database names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredMember {
    /// The ID.
    pub id: u64,
    /// The name; empty if the member has never started.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
}

/// What a database holds. Numbers count what was readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Stored revisions of keys, tombstones included.
    pub revisions: u64,
    /// Keys that exist at the latest revision.
    pub keys: u64,
    /// Stored deletions.
    pub tombstones: u64,
    /// Leases.
    pub leases: u64,
    /// Users.
    pub users: u64,
    /// Roles.
    pub roles: u64,
    /// Whether requests need a login.
    pub is_auth_enabled: bool,
    /// The raised alarms: `NOSPACE`, `CORRUPT`, or the number of another one, each with the member's ID.
    pub alarms: Vec<String>,
    /// The members of the cluster.
    pub members: Vec<StoredMember>,
    /// The version of the storage format; `None` before etcd 3.6.
    pub storage_version: Option<String>,
    /// The version that all members had reached.
    pub cluster_version: Option<String>,
    /// The index of the last raft entry that is applied.
    pub consistent_index: Option<u64>,
    /// The raft term; `None` before etcd 3.5.
    pub term: Option<u64>,
}

/// Collects the contents, and checks them.
pub(super) struct ContentsCheck<'m> {
    pub(super) contents: Contents,
    /// Absent if the compact revision is unknown.
    pub(super) hash: Option<HashKv>,
    compact_revision: Revision,
    order: RevisionCheck,
    /// Number of keys that were created after the compact revision.
    created: u64,
    /// Number of keys that were deleted after the compact revision.
    deleted: u64,
    monitor: &'m VerifyMonitor,
}

#[derive(Deserialize)]
struct MemberValue {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
}

impl<'m> ContentsCheck<'m> {
    /// Without a compact revision, it is not checked that no revision is missing.
    pub(super) fn new(compact_revision: Option<Revision>, hash: Option<HashKv>, monitor: &'m VerifyMonitor) -> Self {
        let order = compact_revision.map_or_else(RevisionCheck::with_gaps, RevisionCheck::new);
        let compact_revision = compact_revision.unwrap_or(0);
        Self { contents: Contents::default(), hash, compact_revision, order, created: 0, deleted: 0, monitor }
    }

    /// Ends the pass: the contents, and the hash after its first pass.
    pub(super) fn finish(mut self) -> (Contents, Option<HashKv>) {
        let before = self.hash.as_mut().map_or(0, HashKv::keys_at_compaction);
        self.contents.keys = before.saturating_add(self.created).saturating_sub(self.deleted);
        (self.contents, self.hash)
    }

    fn revision(&mut self, element: &Element<'_>) -> Result<(), String> {
        let not_one = || format!("'{}' is not a revision", element.key.escape_ascii());
        let at = RevisionKey::parse(element.key).ok_or_else(not_one)?;
        let name = format_args!("revision {}.{}", at.main, at.sub);
        if at.main > types::MAX_REVISION {
            return Err(not_one());
        }
        let Some(record) = RecordView::parse(element.value) else {
            self.order.skip(at);
            return Err(format!("the record of {name} is not readable"));
        };
        self.contents.revisions = self.contents.revisions.saturating_add(1);
        if let Some(hash) = &mut self.hash {
            hash.change(at, (element.key, element.value), record.key, record.version);
        }
        let is_later = at.main > self.compact_revision;
        if at.is_tombstone {
            self.contents.tombstones = self.contents.tombstones.saturating_add(1);
            self.deleted = self.deleted.saturating_add(is_later.into());
        } else {
            self.created = self.created.saturating_add((is_later && record.version == 1).into());
        }
        self.order.check(at, &record, !element.value.is_empty())
    }

    fn fact(&mut self, element: &Element<'_>) -> Result<(), String> {
        let value = element.value;
        let name = || element.key.escape_ascii();
        match element.key {
            SCHEDULED_COMPACTION | FINISHED_COMPACTION => {
                let revision = RevisionKey::parse(value).filter(|revision| revision.main <= types::MAX_REVISION);
                revision.map(drop).ok_or_else(|| format!("{} is not a revision", name()))
            }
            CONSISTENT_INDEX | TERM => {
                let number = number(value, 0).filter(|_| value.len() == 8).map(i64::cast_unsigned);
                let number = number.ok_or_else(|| format!("{} is not a number of 8 bytes", name()))?;
                let is_index = element.key == CONSISTENT_INDEX;
                *(if is_index { &mut self.contents.consistent_index } else { &mut self.contents.term }) = Some(number);
                Ok(())
            }
            STORAGE_VERSION => {
                self.contents.storage_version =
                    Some(version(value).ok_or_else(|| format!("{} is not a version", name()))?);
                Ok(())
            }
            // Other versions may have other facts.
            _ => Ok(()),
        }
    }

    fn member(&mut self, element: &Element<'_>) -> Result<(), String> {
        let member: MemberValue = serde_json::from_slice(element.value)
            .map_err(|error| format!("the member {} is not readable: {error}", element.key.escape_ascii()))?;
        if self.contents.members.len() < MAX_LISTED {
            self.contents.members.push(StoredMember { id: member.id, name: member.name, peer_urls: member.peer_urls });
        }
        Ok(())
    }

    fn alarm(&mut self, element: &Element<'_>) -> Result<(), String> {
        let Some((member, kind)) = parse_alarm(element.key) else {
            return Err(format!("the alarm '{}' is not readable", element.key.escape_ascii()));
        };
        let kind = match kind {
            1 => "NOSPACE".to_owned(),
            2 => "CORRUPT".to_owned(),
            other => format!("alarm {other}"),
        };
        if self.contents.alarms.len() < MAX_LISTED {
            self.contents.alarms.push(format!("{kind} (member {member:x})"));
        }
        Ok(())
    }
}

impl ElementCheck for ContentsCheck<'_> {
    fn element(&mut self, bucket: &[u8], element: &Element<'_>) -> Result<(), String> {
        let add = |count: &mut u64| *count = count.saturating_add(1);
        match bucket {
            KEY_BUCKET => return self.revision(element),
            META_BUCKET => return self.fact(element),
            MEMBER_BUCKET => return self.member(element),
            ALARM_BUCKET => return self.alarm(element),
            CLUSTER_BUCKET if element.key == b"clusterVersion" => {
                self.contents.cluster_version = version(element.value)
            }
            AUTH_BUCKET if element.key == b"authEnabled" => self.contents.is_auth_enabled = element.value == [1],
            LEASE_BUCKET => add(&mut self.contents.leases),
            USER_BUCKET => add(&mut self.contents.users),
            ROLE_BUCKET => add(&mut self.contents.roles),
            _ => {}
        }
        Ok(())
    }

    fn page(&mut self, bytes: u64) -> bool {
        self.monitor.add(bytes)
    }
}

/// A version such as `3.6.0`.
fn version(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.is_empty() && text.len() <= MAX_VERSION_BYTES)?;
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.to_owned())
}

/// The member and the kind of an alarm (`etcdserverpb.AlarmMember`).
fn parse_alarm(mut bytes: &[u8]) -> Option<(u64, u64)> {
    let (mut member, mut kind) = (0, 0);
    while !bytes.is_empty() {
        match varint(&mut bytes)? {
            0x08 => member = varint(&mut bytes)?,
            0x10 => kind = varint(&mut bytes)?,
            _ => return None,
        }
    }
    Some((member, kind))
}
