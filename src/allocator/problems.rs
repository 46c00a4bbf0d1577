//! What is wrong below a base, and what of it can be put right. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::entries::{Entry, State, entries};
use super::{Id, IdRange, KeyIndex, Layout, NameError, Names, Reference, Strange, Survey, check_key, check_node};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Two keys share an ID or will, or a key that is used has none.
    Error,
    /// Nobody is hurt yet.
    Warning,
    /// As it happens every day.
    Info,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// What is wrong. The words are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Two keys claim one ID.
    SharedId,
    /// References name an ID that has no master.
    MissingMaster,
    /// References name an ID whose master says another key.
    WrongMaster,
    /// A reference's value is no ID.
    UnreadableValue,
    /// A master names no key.
    EmptyMaster,
    /// A key has a second ID.
    DuplicateMaster,
    /// A master is on a lease.
    LeasedMaster,
    /// A master's path is not the one its ID has.
    OddPath,
    /// An ID is outside the range.
    OutOfRange,
    /// A key or a node's name that path cleaning would alter.
    AlteredKey,
    /// A path that is neither a master's nor a reference's.
    UnreadablePath,
    /// A master without references.
    UnusedMaster,
}

impl Trouble {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::SharedId => "shared-id",
            Self::MissingMaster => "missing-master",
            Self::WrongMaster => "wrong-master",
            Self::UnreadableValue => "unreadable-value",
            Self::EmptyMaster => "empty-master",
            Self::DuplicateMaster => "duplicate-master",
            Self::LeasedMaster => "leased-master",
            Self::OddPath => "odd-path",
            Self::OutOfRange => "out-of-range",
            Self::AlteredKey => "altered-key",
            Self::UnreadablePath => "unreadable-path",
            Self::UnusedMaster => "unused-master",
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::SharedId | Self::MissingMaster | Self::WrongMaster | Self::UnreadableValue => Severity::Error,
            Self::UnusedMaster => Severity::Info,
            _ => Severity::Warning,
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What.
    pub trouble: Trouble,
    /// The ID, if it is about one.
    pub id: Option<Id>,
    /// The key, if it is about one.
    pub key: Option<Vec<u8>>,
    /// The keys of etcd's that it is about.
    pub paths: Vec<Vec<u8>>,
    /// What it means and what to do.
    pub text: String,
    /// Whether writing the missing master puts it right, with nobody else claiming the ID.
    pub repairable: bool,
}

/// Everything that is wrong, the worst first, then by ID. Masters that are merely unused are in it, as information.
pub fn problems(survey: &Survey, layout: &Layout, range: &IdRange) -> Vec<Problem> {
    let entries = entries(survey);
    let mut check = Check { survey, layout, range, claims: claims(&entries), found: Vec::new() };
    for entry in &entries {
        check.entry(entry);
    }
    check.shared(&entries);
    check.names();
    for reference in survey.references.iter().filter(|reference| reference.id.is_none()) {
        let text = "its value is no ID; nobody can tell which of its key's IDs it means: its node has to renew it";
        let (key, path) = (check.key(reference.key), check.path_of(reference));
        check.add(Trouble::UnreadableValue, None, Some(key), vec![path], text.to_owned());
    }
    for (path, why) in &survey.strange {
        let text = match why {
            Strange::MasterPath => "no ID is its last part: allocators do not see it",
            Strange::ReferencePath => "it has no key or no node: allocators do not see it",
        };
        check.add(Trouble::UnreadablePath, None, None, vec![path.clone()], text.to_owned());
    }
    let mut found = check.found;
    found.sort_by_key(|problem| (problem.trouble.severity(), problem.id, problem.trouble));
    found
}

/// Which keys claim each ID, by a master or by references.
fn claims(entries: &[Entry<'_>]) -> BTreeMap<Id, BTreeSet<KeyIndex>> {
    let mut claims: BTreeMap<Id, BTreeSet<KeyIndex>> = BTreeMap::new();
    for entry in entries {
        claims.entry(entry.id).or_default().insert(entry.key);
    }
    claims
}

struct Check<'a> {
    survey: &'a Survey,
    layout: &'a Layout,
    range: &'a IdRange,
    claims: BTreeMap<Id, BTreeSet<KeyIndex>>,
    found: Vec<Problem>,
}

impl Check<'_> {
    fn add(&mut self, trouble: Trouble, id: Option<Id>, key: Option<Vec<u8>>, paths: Vec<Vec<u8>>, text: String) {
        self.found.push(Problem { trouble, id, key, paths, text, repairable: false });
    }

    fn key(&self, key: KeyIndex) -> Vec<u8> {
        self.survey.keys.text(key).to_vec()
    }

    fn path_of(&self, reference: &Reference) -> Vec<u8> {
        self.layout.reference(self.survey.keys.text(reference.key), self.survey.nodes.text(reference.node))
    }

    /// The entry's master, or else the references that name it.
    fn paths(&self, entry: &Entry<'_>) -> Vec<Vec<u8>> {
        let master = entry.master.and_then(|index| self.survey.masters.get(index));
        match master {
            Some(master) => vec![self.layout.master_at(master.id, master.odd_path.as_deref())],
            None => entry.references.iter().map(|reference| self.path_of(reference)).collect(),
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        if !self.range.contains(entry.id) {
            let text = format!("the ID is not between {} and {}", self.range.first(), self.range.last());
            self.about(entry, Trouble::OutOfRange, text);
        }
        if entry.master.is_some() { self.master(entry) } else { self.orphan(entry) }
    }

    fn about(&mut self, entry: &Entry<'_>, trouble: Trouble, text: String) {
        let (key, paths) = (self.key(entry.key), self.paths(entry));
        self.add(trouble, Some(entry.id), Some(key), paths, text);
    }

    fn master(&mut self, entry: &Entry<'_>) {
        let Some(master) = entry.master.and_then(|index| self.survey.masters.get(index)) else { return };
        let nodes = nodes(entry.references.len());
        if let Some(lease) = master.lease {
            let text = format!("the master is on lease {lease} and goes with it: write it again without a lease");
            self.about(entry, Trouble::LeasedMaster, text);
        }
        if master.odd_path.is_some() {
            let text = format!("allocators look for the ID {0} at id/{0} and do not find this master", entry.id);
            return self.about(entry, Trouble::OddPath, text);
        }
        if self.survey.keys.text(entry.key).is_empty() {
            let text = "the master names no key: the ID is taken and of no use; delete it if no node uses the ID";
            return self.about(entry, Trouble::EmptyMaster, text.to_owned());
        }
        match entry.state {
            State::Unused => self.about(entry, Trouble::UnusedMaster, "'gc ids' collects it".to_owned()),
            State::Duplicate if entry.references.is_empty() => {
                let text = "the key has another ID, and no node uses this one: 'gc ids' collects it";
                self.about(entry, Trouble::DuplicateMaster, text.to_owned());
            }
            State::Duplicate => {
                let text =
                    format!("the key has another ID too, and {nodes} yet: release and allocate the key anew there");
                self.about(entry, Trouble::DuplicateMaster, text);
            }
            State::InUse | State::Orphan => {}
        }
    }

    fn orphan(&mut self, entry: &Entry<'_>) {
        let count = nodes(entry.references.len());
        let others: Vec<KeyIndex> = self.survey.masters_of(entry.id).iter().map(|master| master.key).collect();
        if let Some(other) = others.first() {
            let other = shown(self.survey.keys.text(*other));
            let text = format!(
                "{count} for this key, and the ID is the key {other}'s: release and allocate this key anew there"
            );
            return self.about(entry, Trouble::WrongMaster, text);
        }
        let alone = self.claims.get(&entry.id).is_some_and(|keys| keys.len() == 1);
        let clean = check_key(self.survey.keys.text(entry.key)).is_ok();
        let repairable = alone && clean && self.range.contains(entry.id);
        let mut text = format!("{count}, and without a master the ID may be given to another key");
        text.push_str(match (alone, clean, repairable) {
            (_, _, true) => ": 'check --repair' writes it again",
            (false, _, _) => "; another key's references name it too: release and allocate one of the keys anew",
            (_, false, _) => "; path cleaning alters the key, so that it cannot be repaired safely",
            _ => "; it is outside the range, and so perhaps another cluster's: see --min, --max and --prefix-mask",
        });
        self.about(entry, Trouble::MissingMaster, text);
        if let Some(problem) = self.found.last_mut() {
            problem.repairable = repairable;
        }
    }

    /// IDs that nodes use for several keys, or whose masters say several.
    fn shared(&mut self, entries: &[Entry<'_>]) {
        for same in entries.chunk_by(|one, next| one.id == next.id).filter(|same| same.len() > 1) {
            let used: BTreeSet<_> = same.iter().filter(|one| !one.references.is_empty()).map(|one| one.key).collect();
            let masters: BTreeSet<_> = same.iter().filter(|one| one.master.is_some()).map(|one| one.key).collect();
            if used.len() < 2 && masters.len() < 2 {
                continue;
            }
            let all: BTreeSet<_> = used.union(&masters).copied().collect();
            let mut text = format!("{} keys have this ID:", all.len());
            for (index, key) in all.iter().take(4).enumerate() {
                let _ = write!(text, "{}{}", if index > 0 { ", " } else { " " }, shown(self.survey.keys.text(*key)));
            }
            text.push_str("; release and allocate all but one of them anew");
            let paths = same.iter().flat_map(|one| self.paths(one)).collect();
            self.add(Trouble::SharedId, same.first().map(|one| one.id), None, paths, text);
        }
    }

    /// Keys and nodes' names that path cleaning would alter.
    fn names(&mut self) {
        let survey = self.survey;
        let keys = altered(&survey.keys, |key| if key.is_empty() { Ok(()) } else { check_key(key) });
        let mut of_keys: BTreeMap<KeyIndex, Vec<Vec<u8>>> = BTreeMap::new();
        let nodes = altered(&survey.nodes, check_node);
        let mut of_nodes: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for master in survey.masters.iter().filter(|master| keys.contains_key(&master.key)) {
            let path = self.layout.master_at(master.id, master.odd_path.as_deref());
            of_keys.entry(master.key).or_default().push(path);
        }
        for reference in &survey.references {
            if keys.contains_key(&reference.key) {
                of_keys.entry(reference.key).or_default().push(self.path_of(reference));
            }
            if nodes.contains_key(&reference.node) {
                of_nodes.entry(reference.node).or_default().push(self.path_of(reference));
            }
        }
        for (key, error) in keys {
            let text = format!("the key {error}: its references and another key's may be the same");
            let paths = of_keys.remove(&key).unwrap_or_default();
            self.add(Trouble::AlteredKey, None, Some(self.key(key)), paths, text);
        }
        for (node, error) in nodes {
            let text =
                format!("the node's name {} {error}: no node writes such references", shown(survey.nodes.text(node)));
            let paths = of_nodes.remove(&node).unwrap_or_default();
            self.add(Trouble::AlteredKey, None, None, paths, text);
        }
    }
}

/// The texts that path cleaning would alter.
fn altered(names: &Names, check: impl Fn(&[u8]) -> Result<(), NameError>) -> BTreeMap<u32, NameError> {
    let indexes = (0..names.len()).filter_map(|index| u32::try_from(index).ok());
    indexes.filter_map(|index| Some((index, check(names.text(index)).err()?))).collect()
}

fn nodes(count: usize) -> String {
    if count == 1 { "1 node uses it".to_owned() } else { format!("{count} nodes use it") }
}

/// A key in a message, cut where it is long.
fn shown(key: &[u8]) -> String {
    const LONGEST: usize = 80;
    let cut = key.get(..LONGEST);
    let text = String::from_utf8_lossy(cut.unwrap_or(key)).escape_debug().to_string();
    format!("'{text}{}'", if cut.is_some() { "…" } else { "" })
}

#[cfg(test)]
mod tests;
