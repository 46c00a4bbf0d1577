//! The lines of a plan as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::kvstore::{LeaseId, Revision, parse_hex};
use crate::output::{ChangeKind, bytes};
use crate::sync::plan::{PlanEntry, PlanHead, PlanLine, PlannedLease, UndoEntry};

/// The version of the format.
const VERSION: u64 = 1;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
pub(super) struct WireHead {
    kvadm_restore_plan: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix_base64: Option<String>,
    revision: Revision,
    source: String,
    time: String,
    #[serde(default)]
    undo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum WireKind {
    Created,
    Modified,
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum WireLease {
    Keep,
    Attach,
    Grant,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
pub(super) struct WireEntry {
    event: WireKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    expected_mod_revision: Revision,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_action: Option<WireLease>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written_base64: Option<String>,
}

/// The end of a step, or of the plan.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
pub(super) struct WireStepEnd {
    pub step_done: u64,
    pub mod_revision: Revision,
    /// The positions of the step's entries that were not executed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<u64>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
pub(super) struct WireEnd {
    pub entries: u64,
}

fn split(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn joined(name: &str, text: Option<String>, encoded: Option<String>) -> Result<Option<Vec<u8>>, String> {
    match (text, encoded) {
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(encoded)) => match bytes::decode_base64(&encoded) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => Err(format!("{name}_base64: {error}")),
        },
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(format!("both {name} and {name}_base64")),
    }
}

fn required(name: &str, bytes: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    bytes.ok_or_else(|| format!("needs either {name} or {name}_base64"))
}

impl WireHead {
    pub fn of(head: &PlanHead) -> Self {
        let (namespace, namespace_base64) = split(&head.namespace);
        let (prefix, prefix_base64) = split(&head.prefix);
        Self {
            kvadm_restore_plan: VERSION,
            cluster: head.cluster.map(|id| format!("{id:x}")),
            namespace,
            namespace_base64,
            prefix,
            prefix_base64,
            revision: head.revision,
            source: head.source.clone(),
            time: head.time.clone(),
            undo: head.undo,
        }
    }
}

impl WireEntry {
    pub fn of_undo(undo: &UndoEntry) -> Self {
        let (written, written_base64) = undo.written.as_deref().map_or((None, None), split);
        Self { step: Some(undo.step), written, written_base64, ..Self::of(&undo.entry) }
    }

    pub fn of(entry: &PlanEntry) -> Self {
        let (key, key_base64) = split(&entry.key);
        let deletes = entry.kind == ChangeKind::Deleted;
        let (value, value_base64) = if deletes { (None, None) } else { split(&entry.value) };
        let (lease_action, lease, ttl) = match entry.lease {
            PlannedLease::None => (None, None, None),
            PlannedLease::Keep => (Some(WireLease::Keep), None, None),
            PlannedLease::Attach(lease) => (Some(WireLease::Attach), Some(lease.to_string()), None),
            PlannedLease::Grant { source, ttl } => (Some(WireLease::Grant), Some(source.to_string()), Some(ttl)),
        };
        let event = match entry.kind {
            ChangeKind::Created => WireKind::Created,
            ChangeKind::Modified => WireKind::Modified,
            ChangeKind::Deleted => WireKind::Deleted,
        };
        let expected_mod_revision = entry.expected;
        let (step, written, written_base64) = (None, None, None);
        Self {
            event,
            key,
            key_base64,
            value,
            value_base64,
            expected_mod_revision,
            lease_action,
            lease,
            ttl,
            step,
            written,
            written_base64,
        }
    }

    fn entry(self, head: &PlanHead) -> Result<PlanLine, String> {
        let kind = match self.event {
            WireKind::Created => ChangeKind::Created,
            WireKind::Modified => ChangeKind::Modified,
            WireKind::Deleted => ChangeKind::Deleted,
        };
        let key = required("key", joined("key", self.key, self.key_base64)?)?;
        if !key.starts_with(&head.prefix) {
            return Err("the key does not have the prefix of the plan".to_owned());
        }
        let value = joined("value", self.value, self.value_base64)?;
        if (kind == ChangeKind::Deleted) == value.is_some() {
            return Err("a value belongs to keys that are created or modified".to_owned());
        }
        let expected = self.expected_mod_revision;
        // An undo file has the revision before the step.
        let missing = if head.undo { kind == ChangeKind::Deleted } else { kind == ChangeKind::Created };
        if expected < 0 || missing != (expected == 0) {
            return Err(format!("expected_mod_revision {expected} does not fit the event"));
        }
        let id = |text: Option<String>| {
            let id = text.ok_or("the lease is missing")?.parse::<LeaseId>().map_err(|why| why.to_string())?;
            LeaseId::from_wire(id.0).ok_or("0 is not a lease".to_owned())
        };
        let lease = match (self.lease_action, self.ttl) {
            (None, None) if self.lease.is_none() => PlannedLease::None,
            (Some(WireLease::Keep), None) if self.lease.is_none() => PlannedLease::Keep,
            (Some(WireLease::Attach), None) => PlannedLease::Attach(id(self.lease)?),
            (Some(WireLease::Grant), Some(ttl)) if ttl > 0 => PlannedLease::Grant { source: id(self.lease)?, ttl },
            _ => return Err("lease_action, lease and ttl do not fit".to_owned()),
        };
        let entry = PlanEntry { kind, key, value: value.unwrap_or_default(), expected, lease };
        let written = joined("written", self.written, self.written_base64)?;
        match (head.undo, self.step) {
            (false, None) if written.is_none() => Ok(PlanLine::Entry(entry)),
            (true, Some(step)) if (kind == ChangeKind::Created) == written.is_none() => {
                Ok(PlanLine::Undo(UndoEntry { step, entry, written }))
            }
            _ => Err("step and written belong to undo files".to_owned()),
        }
    }
}

/// Parses the head.
pub(super) fn parse_head(line: &[u8]) -> Result<PlanHead, String> {
    #[derive(Deserialize)]
    #[serde(expecting = "a JSON object")]
    struct FormatVersion {
        kvadm_restore_plan: u64,
    }
    let not_a_plan = |error: serde_json::Error| format!("not a plan of 'kvadm restore': {error}");
    let format: FormatVersion = serde_json::from_slice(line).map_err(not_a_plan)?;
    if format.kvadm_restore_plan != VERSION {
        let found = format.kvadm_restore_plan;
        return Err(format!("the plan has format {found}, but this kvadm reads format {VERSION}"));
    }
    let head: WireHead = serde_json::from_slice(line).map_err(not_a_plan)?;
    let cluster = match head.cluster {
        Some(id) => Some(parse_hex(&id).ok_or_else(|| format!("'{}' is not a cluster ID", id.escape_debug()))?),
        None => None,
    };
    if head.revision < 1 {
        return Err(format!("'{}' is not a revision", head.revision));
    }
    Ok(PlanHead {
        cluster,
        namespace: required("namespace", joined("namespace", head.namespace, head.namespace_base64)?)?,
        prefix: required("prefix", joined("prefix", head.prefix, head.prefix_base64)?)?,
        revision: head.revision,
        source: head.source,
        time: head.time,
        undo: head.undo,
    })
}

/// Parses a line after the head.
pub(super) fn parse_line(line: &[u8], head: &PlanHead) -> Result<PlanLine, String> {
    let json = |error: serde_json::Error| error.to_string();
    if line.starts_with(b"{\"entries\"") && !head.undo {
        let WireEnd { entries } = serde_json::from_slice(line).map_err(json)?;
        return Ok(PlanLine::End { entries });
    }
    if line.starts_with(b"{\"step_done\"") && head.undo {
        let WireStepEnd { step_done, mod_revision, left } = serde_json::from_slice(line).map_err(json)?;
        if mod_revision < 1 {
            return Err(format!("mod_revision {mod_revision} is not a revision"));
        }
        return Ok(PlanLine::StepDone { step: step_done, revision: mod_revision, left });
    }
    serde_json::from_slice::<WireEntry>(line).map_err(json)?.entry(head)
}
