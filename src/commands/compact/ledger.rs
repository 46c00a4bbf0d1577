//! The state of each member before and after.

use crate::health::ClusterScan;
use crate::kvstore::MemberStatus;
use crate::output::SpaceRow;

use super::plan::{answering, is_unlisted};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefragOutcome {
    Done,
    Failed,
    Unknown,
    Left,
    /// The condition does not hold, --member does not name the member, or it is a learner, and its version does not defragment
    /// learners.
    Skipped,
}

impl DefragOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Left => "left",
            Self::Skipped => "skipped",
        }
    }
}

pub struct LedgerEntry {
    pub endpoint: String,
    /// The outcome of its defragmentation; `None` if none was requested.
    pub defrag: Option<DefragOutcome>,
    /// Why the member did not respond, or what failed.
    pub error: Option<String>,
    /// Why the member was skipped.
    pub reason: Option<String>,
    pub after: Option<MemberStatus>,
    name: String,
    before: Option<MemberStatus>,
    alarms: Vec<String>,
}

/// All members that were found at the start.
#[derive(Default)]
pub struct MemberLedger {
    /// In the order of the endpoints.
    pub entries: Vec<LedgerEntry>,
}

impl MemberLedger {
    pub fn new(scan: &ClusterScan, defrag: bool) -> Self {
        let known: Vec<u64> = answering(scan).map(|(_, status)| status.id).collect();
        let names: Vec<&str> = answering(scan).map(|(member, _)| member.name.as_str()).collect();
        let mut left = known.clone();
        let mut entries = Vec::new();
        for member in &scan.members {
            match &member.status {
                // Several endpoints may belong to one member.
                Ok(status) if !left.contains(&status.id) => continue,
                Ok(status) => left.retain(|id| *id != status.id),
                Err(_) if !member.name.is_empty() && names.contains(&member.name.as_str()) => continue,
                Err(_) => {}
            }
            let unreachable = member.status.as_ref().err();
            let outcome = if unreachable.is_some() { DefragOutcome::Failed } else { DefragOutcome::Left };
            entries.push(LedgerEntry {
                endpoint: member.endpoint.clone(),
                defrag: Some(outcome).filter(|_| defrag && !is_unlisted(member, scan)),
                error: unreachable.cloned(),
                reason: None,
                name: member.name.clone(),
                before: member.status.as_ref().ok().cloned(),
                after: None,
                alarms: member.alarms.clone(),
            });
        }
        Self { entries }
    }

    pub fn update(&mut self, scan: &ClusterScan) {
        for entry in &mut self.entries {
            let now = scan.members.iter().find(|member| match (&member.status, &entry.before) {
                (Ok(now), Some(before)) => now.id == before.id,
                _ => member.endpoint == entry.endpoint,
            });
            let Some(now) = now else { continue };
            entry.alarms.clone_from(&now.alarms);
            match &now.status {
                Ok(status) => entry.after = Some(status.clone()),
                Err(why) => entry.error = entry.error.take().or_else(|| Some(why.clone())),
            }
        }
    }

    pub fn ids(&self) -> Vec<u64> {
        self.entries.iter().filter_map(|entry| Some(entry.before.as_ref()?.id)).collect()
    }

    /// The members that are to be defragmented.
    pub fn left(&self) -> Vec<u64> {
        let left = self.entries.iter().filter(|entry| entry.defrag == Some(DefragOutcome::Left));
        left.filter_map(|entry| Some(entry.before.as_ref()?.id)).collect()
    }

    /// Marks the other members as skipped.
    pub fn select(&mut self, ids: &[u64]) {
        for entry in &mut self.entries {
            let is_selected = entry.before.as_ref().is_some_and(|status| ids.contains(&status.id));
            if !is_selected && entry.defrag.is_some() {
                entry.defrag = Some(DefragOutcome::Skipped);
                entry.reason = Some("--member does not name it".to_owned());
            }
        }
    }

    pub fn endpoints(&self) -> Vec<&str> {
        self.entries.iter().filter(|entry| entry.before.is_some()).map(|entry| entry.endpoint.as_str()).collect()
    }

    pub fn entry(&mut self, id: u64) -> Option<&mut LedgerEntry> {
        self.entries.iter_mut().find(|entry| entry.before.as_ref().is_some_and(|status| status.id == id))
    }

    pub fn count(&self, what: DefragOutcome) -> usize {
        self.entries.iter().filter(|entry| entry.defrag == Some(what)).count()
    }

    pub fn rows(&self) -> Vec<SpaceRow<'_>> {
        self.entries.iter().map(LedgerEntry::row).collect()
    }
}

impl LedgerEntry {
    fn row(&self) -> SpaceRow<'_> {
        SpaceRow {
            endpoint: &self.endpoint,
            name: &self.name,
            before: self.before.as_ref(),
            after: self.after.as_ref(),
            defrag: self.defrag.map(DefragOutcome::as_str),
            alarms: &self.alarms,
            error: self.error.as_deref(),
            reason: self.reason.as_deref(),
        }
    }
}
