//! Problems in an allocator's keys, and which of them can be repaired. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::entries::{IdEntry, IdState, entries};
use super::{
    AllocatorScan, Id, IdRange, KeyIndex, Layout, NameError, ReferenceKey, StrayKeys, StringTable, UnknownKeyReason,
    check_key, check_node,
};
use crate::command_line::CommandLine;
use crate::plural::counted;

/// Severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Two keys share an ID or may come to share one, a key in use has no ID, or agents fail.
    Error,
    /// No key is affected yet.
    Warning,
    /// Normal operation.
    Info,
}

impl Severity {
    /// Name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Kind of problem. The names are part of the output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// Two keys claim one ID.
    SharedId,
    /// References name an ID without a master.
    MissingMaster,
    /// References name an ID whose master holds another key.
    WrongMaster,
    /// The value of a reference is not an ID.
    UnreadableValue,
    /// Cilium lists a key with the masters that is not below `id/`.
    StrayPath,
    /// A master holds no key.
    EmptyMaster,
    /// A key has a second ID.
    DuplicateMaster,
    /// The master of an ID that nodes use is on a lease.
    LeasedMaster,
    /// A master's path is not the canonical path of its ID.
    OddPath,
    /// An ID is outside the range.
    OutOfRange,
    /// Path cleaning would alter a key or a node's name.
    AlteredKey,
    /// A path is neither a master's nor a reference's.
    UnreadablePath,
    /// A master without references.
    UnusedMaster,
    /// A master on a lease, without references.
    MirroredMaster,
}

impl ProblemKind {
    /// Name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::SharedId => "shared-id",
            Self::MissingMaster => "missing-master",
            Self::WrongMaster => "wrong-master",
            Self::UnreadableValue => "unreadable-value",
            Self::StrayPath => "stray-path",
            Self::EmptyMaster => "empty-master",
            Self::DuplicateMaster => "duplicate-master",
            Self::LeasedMaster => "leased-master",
            Self::OddPath => "odd-path",
            Self::OutOfRange => "out-of-range",
            Self::AlteredKey => "altered-key",
            Self::UnreadablePath => "unreadable-path",
            Self::UnusedMaster => "unused-master",
            Self::MirroredMaster => "mirrored-master",
        }
    }

    /// Severity of this kind.
    pub fn severity(self) -> Severity {
        match self {
            Self::SharedId | Self::MissingMaster | Self::WrongMaster | Self::UnreadableValue | Self::StrayPath => {
                Severity::Error
            }
            Self::UnusedMaster | Self::MirroredMaster => Severity::Info,
            _ => Severity::Warning,
        }
    }
}

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Kind.
    pub kind: ProblemKind,
    /// Affected ID, if any.
    pub id: Option<Id>,
    /// Affected key, if any.
    pub key: Option<Vec<u8>>,
    /// Affected etcd keys.
    pub paths: Vec<Vec<u8>>,
    /// Meaning and remedy.
    pub text: String,
    /// Whether writing the missing master repairs it: no other key claims the ID.
    pub repairable: bool,
}

/// All problems, most severe first, then by ID. Unused and mirrored masters are included as information. `delete` is the
/// command line that deletes a key, without the key.
pub fn problems(
    scan: &AllocatorScan,
    stray: &StrayKeys,
    layout: &Layout,
    range: &IdRange,
    delete: &CommandLine,
) -> Vec<Problem> {
    let entries = entries(scan);
    let mut check = ProblemCheck { scan, layout, range, delete, claims: claims(&entries), found: Vec::new() };
    for entry in &entries {
        check.entry(entry);
    }
    check.shared(&entries);
    check.names();
    for reference in scan.references.iter().filter(|reference| reference.id.is_none()) {
        let text = "the value is not an ID, so it is unknown which ID the node uses: renew the reference on that node";
        let (key, path) = (check.key(reference.key), check.path_of(reference));
        check.add(ProblemKind::UnreadableValue, None, Some(key), vec![path], text.to_owned());
    }
    for (path, why) in &scan.unknown_keys {
        let text = match why {
            UnknownKeyReason::MasterPath => "the last part of the path is not an ID: allocators ignore it",
            UnknownKeyReason::ReferencePath => "the path has no key or no node: allocators ignore it",
        };
        check.add(ProblemKind::UnreadablePath, None, None, vec![path.clone()], text.to_owned());
    }
    check.stray(stray);
    let mut found = check.found;
    found.sort_by_key(|problem| (problem.kind.severity(), problem.id, problem.kind));
    found
}

/// The keys that claim each ID, by a master or by references.
fn claims(entries: &[IdEntry<'_>]) -> BTreeMap<Id, BTreeSet<KeyIndex>> {
    let mut claims: BTreeMap<Id, BTreeSet<KeyIndex>> = BTreeMap::new();
    for entry in entries {
        claims.entry(entry.id).or_default().insert(entry.key);
    }
    claims
}

struct ProblemCheck<'a> {
    scan: &'a AllocatorScan,
    layout: &'a Layout,
    range: &'a IdRange,
    delete: &'a CommandLine,
    claims: BTreeMap<Id, BTreeSet<KeyIndex>>,
    found: Vec<Problem>,
}

impl ProblemCheck<'_> {
    fn add(&mut self, kind: ProblemKind, id: Option<Id>, key: Option<Vec<u8>>, paths: Vec<Vec<u8>>, text: String) {
        self.found.push(Problem { kind, id, key, paths, text, repairable: false });
    }

    fn key(&self, key: KeyIndex) -> Vec<u8> {
        self.scan.keys.text(key).to_vec()
    }

    fn path_of(&self, reference: &ReferenceKey) -> Vec<u8> {
        self.layout.reference(self.scan.keys.text(reference.key), self.scan.nodes.text(reference.node))
    }

    /// Path of the entry's master, else of the references that name the ID.
    fn paths(&self, entry: &IdEntry<'_>) -> Vec<Vec<u8>> {
        let master = entry.master.and_then(|index| self.scan.masters.get(index));
        match master {
            Some(master) => vec![self.layout.master_at(master.id, master.odd_path.as_deref())],
            None => entry.references.iter().map(|reference| self.path_of(reference)).collect(),
        }
    }

    fn entry(&mut self, entry: &IdEntry<'_>) {
        if !self.range.contains(entry.id) {
            let text = format!("the ID is not between {} and {}", self.range.first(), self.range.last());
            self.add_for(entry, ProblemKind::OutOfRange, text);
        }
        if entry.master.is_some() { self.master(entry) } else { self.orphan(entry) }
    }

    fn add_for(&mut self, entry: &IdEntry<'_>, kind: ProblemKind, text: String) {
        let (key, paths) = (self.key(entry.key), self.paths(entry));
        self.add(kind, Some(entry.id), Some(key), paths, text);
    }

    fn master(&mut self, entry: &IdEntry<'_>) {
        let Some(master) = entry.master.and_then(|index| self.scan.masters.get(index)) else { return };
        let nodes = format_nodes(entry.references.len());
        if let Some(lease) = master.lease
            && entry.state != IdState::Leased
        {
            let text = format!(
                "the master expires with lease {lease}, but {nodes}: check which process keeps the lease alive"
            );
            self.add_for(entry, ProblemKind::LeasedMaster, text);
        }
        if master.odd_path.is_some() {
            let text = format!("allocators look up the ID {0} at id/{0} and do not find this master", entry.id);
            return self.add_for(entry, ProblemKind::OddPath, text);
        }
        if self.scan.keys.text(entry.key).is_empty() {
            let text = "the master holds no key, so the ID is taken but unusable: delete it if no node uses the ID";
            return self.add_for(entry, ProblemKind::EmptyMaster, text.to_owned());
        }
        match entry.state {
            IdState::Unused => self.add_for(entry, ProblemKind::UnusedMaster, "'kvadm gc ids' deletes it".to_owned()),
            IdState::Leased => {
                let lease = master.lease.map(|lease| lease.to_string()).unwrap_or_default();
                let text = format!(
                    "the master expires with lease {lease}, which the process that writes this mirror keeps alive"
                );
                self.add_for(entry, ProblemKind::MirroredMaster, text);
            }
            IdState::Duplicate if entry.references.is_empty() => {
                let text = "the key has another ID, and no node uses this one: 'kvadm gc ids' deletes it";
                self.add_for(entry, ProblemKind::DuplicateMaster, text.to_owned());
            }
            IdState::Duplicate => {
                let text =
                    format!("the key also has another ID, but {nodes}: release and allocate the key again there");
                self.add_for(entry, ProblemKind::DuplicateMaster, text);
            }
            IdState::InUse | IdState::Orphan => {}
        }
    }

    fn orphan(&mut self, entry: &IdEntry<'_>) {
        let count = format_nodes(entry.references.len());
        let others: Vec<KeyIndex> = self.scan.masters_of(entry.id).iter().map(|master| master.key).collect();
        if let Some(other) = others.first() {
            let other = format_key(self.scan.keys.text(*other));
            let text =
                format!("{count}, but the ID belongs to the key {other}: release and allocate this key again there");
            return self.add_for(entry, ProblemKind::WrongMaster, text);
        }
        let alone = self.claims.get(&entry.id).is_some_and(|keys| keys.len() == 1);
        let clean = check_key(self.scan.keys.text(entry.key)).is_ok();
        let repairable = alone && clean && self.range.contains(entry.id);
        let mut text = format!("{count}; without a master the ID may be allocated to another key");
        text.push_str(match (alone, clean, repairable) {
            (_, _, true) => ": 'kvadm allocate check --repair' restores the master",
            (false, _, _) => "; references of another key name it too: release one of the keys and allocate it again",
            (_, false, _) => "; path cleaning alters the key, so the master cannot be restored safely",
            _ => "; it is out of range and may belong to another cluster: check --min, --max and --cluster-id",
        });
        self.add_for(entry, ProblemKind::MissingMaster, text);
        if let Some(problem) = self.found.last_mut() {
            problem.repairable = repairable;
        }
    }

    /// Adds IDs that nodes use for several keys, or that several masters assign to different keys.
    fn shared(&mut self, entries: &[IdEntry<'_>]) {
        for same in entries.chunk_by(|one, next| one.id == next.id).filter(|same| same.len() > 1) {
            let used: BTreeSet<_> = same.iter().filter(|one| !one.references.is_empty()).map(|one| one.key).collect();
            let masters: BTreeSet<_> = same.iter().filter(|one| one.master.is_some()).map(|one| one.key).collect();
            if used.len() < 2 && masters.len() < 2 {
                continue;
            }
            let all: BTreeSet<_> = used.union(&masters).copied().collect();
            let mut text = format!("{} have this ID:", counted(all.len(), "key"));
            for (index, key) in all.iter().take(4).enumerate() {
                let _ = write!(text, "{}{}", if index > 0 { ", " } else { " " }, format_key(self.scan.keys.text(*key)));
            }
            text.push_str("; release all of them but one and allocate them again");
            let paths = same.iter().flat_map(|one| self.paths(one)).collect();
            self.add(ProblemKind::SharedId, same.first().map(|one| one.id), None, paths, text);
        }
    }

    /// Adds keys that Cilium lists with the masters, because its prefix has no trailing slash.
    fn stray(&mut self, stray: &StrayKeys) {
        for path in &stray.paths {
            // Cilium skips a slash behind the prefix if there is one, and parses the rest.
            let rest = self.layout.behind_id(path).unwrap_or_default();
            let id = Id::parse(rest);
            let what = match id {
                Some(id) => format!("Cilium takes this key for the master of ID {id}"),
                None if rest.is_empty() => "Cilium's agents crash when they read this key".to_owned(),
                None => {
                    "Cilium lists this key with the masters, and its operator may delete it as an unused ID".to_owned()
                }
            };
            let text = format!("{what}: {}", format_deletion(self.delete, path));
            self.add(ProblemKind::StrayPath, id, None, vec![path.clone()], text);
        }
        if stray.more > 0 {
            let [before, _] = self.layout.around_masters();
            let prefix = before.start.escape_ascii().to_string();
            let (keys, begin) = (counted(stray.more, "more key"), if stray.more == 1 { "begins" } else { "begin" });
            let text = format!("{keys} {begin} with {prefix}, and Cilium lists them with the masters");
            self.add(ProblemKind::StrayPath, None, None, Vec::new(), text);
        }
    }

    /// Adds keys and node names that path cleaning would alter.
    fn names(&mut self) {
        let scan = self.scan;
        let keys = altered_names(&scan.keys, |key| if key.is_empty() { Ok(()) } else { check_key(key) });
        let mut of_keys: BTreeMap<KeyIndex, Vec<Vec<u8>>> = BTreeMap::new();
        let nodes = altered_names(&scan.nodes, check_node);
        let mut of_nodes: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for master in scan.masters.iter().filter(|master| keys.contains_key(&master.key)) {
            let path = self.layout.master_at(master.id, master.odd_path.as_deref());
            of_keys.entry(master.key).or_default().push(path);
        }
        for reference in &scan.references {
            if keys.contains_key(&reference.key) {
                of_keys.entry(reference.key).or_default().push(self.path_of(reference));
            }
            if nodes.contains_key(&reference.node) {
                of_nodes.entry(reference.node).or_default().push(self.path_of(reference));
            }
        }
        for (key, error) in keys {
            let text = format!("the key {error}: another key's references may have the same paths");
            let paths = of_keys.remove(&key).unwrap_or_default();
            self.add(ProblemKind::AlteredKey, None, Some(self.key(key)), paths, text);
        }
        for (node, error) in nodes {
            let text =
                format!("the node name {} {error}: no node writes such references", format_key(scan.nodes.text(node)));
            let paths = of_nodes.remove(&node).unwrap_or_default();
            self.add(ProblemKind::AlteredKey, None, None, paths, text);
        }
    }
}

/// Names that path cleaning would alter.
fn altered_names(names: &StringTable, check: impl Fn(&[u8]) -> Result<(), NameError>) -> BTreeMap<u32, NameError> {
    let indexes = (0..names.len()).filter_map(|index| u32::try_from(index).ok());
    indexes.filter_map(|index| Some((index, check(names.text(index)).err()?))).collect()
}

/// The remedy for a key that must not exist.
fn format_deletion(delete: &CommandLine, path: &[u8]) -> String {
    format!("delete it with '{}'", delete.clone().key(path))
}

fn format_nodes(count: usize) -> String {
    if count == 1 { "1 node uses this ID".to_owned() } else { format!("{} use this ID", counted(count, "node")) }
}

/// Formats a key for a message, truncated to 80 bytes.
fn format_key(key: &[u8]) -> String {
    const LONGEST: usize = 80;
    let cut = key.get(..LONGEST);
    let text = String::from_utf8_lossy(cut.unwrap_or(key)).escape_debug().to_string();
    format!("'{text}{}'", if cut.is_some() { "…" } else { "" })
}

#[cfg(test)]
mod tests;
