#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::fuzzing::{check_message, damage, damaged};
use crate::kvstore::LeaseId;
use crate::output::ChangeKind;
use crate::sync::plan::PlannedLease;

fn head(undo: bool) -> PlanHead {
    PlanHead {
        cluster: Some(0xcdf8),
        namespace: b"/ns/\xff".to_vec(),
        prefix: b"/a/".to_vec(),
        revision: 57,
        source: "this store at revision 40".to_owned(),
        time: "2026-11-30T05:00:00Z".to_owned(),
        undo,
    }
}

fn entry() -> impl Strategy<Value = PlanEntry> {
    let lease = prop_oneof![
        Just(PlannedLease::None),
        Just(PlannedLease::Keep),
        (1i64..99).prop_map(|id| PlannedLease::Attach(LeaseId(id))),
        (1i64..99, 1i64..99).prop_map(|(id, ttl)| PlannedLease::Grant { source: LeaseId(id), ttl }),
    ];
    let bytes = || proptest::collection::vec(any::<u8>(), 0..6);
    (0..3, bytes(), bytes(), 1i64..99, lease).prop_map(|(kind, key, value, expected, lease)| {
        let key = [b"/a/".as_slice(), &key].concat();
        match kind {
            0 => PlanEntry { kind: ChangeKind::Created, key, value, expected: 0, lease },
            1 => PlanEntry { kind: ChangeKind::Modified, key, value, expected, lease },
            _ => PlanEntry { kind: ChangeKind::Deleted, key, value: Vec::new(), expected, lease },
        }
    })
}

fn written(entries: &[PlanEntry]) -> Vec<u8> {
    let mut writer = PlanWriter::begin(Vec::new(), &head(false)).unwrap();
    entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    writer.finish().unwrap()
}

fn read(text: &[u8]) -> Result<Vec<PlanLine>, PlanFileError> {
    let mut reader = PlanReader::open(text)?;
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line()? {
        lines.push(line);
    }
    Ok(lines)
}

proptest! {
    #[test]
    fn a_plan_reads_back(entries in proptest::collection::vec(entry(), 0..6)) {
        let mut entries = entries;
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries.dedup_by(|a, b| a.key == b.key);
        let text = written(&entries);
        let reader = PlanReader::open(text.as_slice()).unwrap();
        prop_assert_eq!(reader.head(), &head(false));
        let end = PlanLine::End { entries: entries.len() as u64 };
        let wanted: Vec<_> = entries.into_iter().map(PlanLine::Entry).chain([end]).collect();
        prop_assert_eq!(read(&text).unwrap(), wanted);
    }

    /// A plan is whole or refused, wherever it is cut.
    #[test]
    fn a_cut_plan_is_refused(entries in proptest::collection::btree_map("[a-z]{1,3}", 1i64..9, 1..4), at in any::<prop::sample::Index>()) {
        let entries: Vec<PlanEntry> = entries.into_iter().map(|(key, expected)| PlanEntry {
            kind: ChangeKind::Deleted,
            key: format!("/a/{key}").into_bytes(),
            value: Vec::new(),
            expected,
            lease: PlannedLease::None,
        }).collect();
        let text = written(&entries);
        prop_assert!(read(&text[..at.index(text.len())]).is_err());
    }

    #[test]
    fn a_damaged_plan_is_refused_or_read(damage in damage(), undo in any::<bool>()) {
        let change = PlanEntry {
            kind: ChangeKind::Modified, key: b"/a/k".to_vec(), value: b"new".to_vec(), expected: 7, lease: PlannedLease::None,
        };
        let mut writer = PlanWriter::begin(Vec::new(), &head(undo)).unwrap();
        let text = if undo {
            writer.undo(&UndoEntry::of(1, &change, None)).unwrap();
            writer.step_done(1, 60, vec![3]).unwrap();
            std::mem::take(writer.get_mut())
        } else {
            writer.entry(&change).unwrap();
            writer.finish().unwrap()
        };
        if let Err(error) = read(&damaged(&text, &damage)) {
            check_message(&error.to_string())?;
        }
    }

    #[test]
    fn an_undo_file_reads_back_and_may_be_cut(entry in entry(), step in any::<u64>(), before in proptest::collection::vec(any::<u8>(), 0..4)) {
        let kv = (entry.expected > 0).then(|| crate::kvstore::KeyValue { value: before, ..Default::default() });
        let undo = UndoEntry::of(step, &entry, kv);
        let mut writer = PlanWriter::begin(Vec::new(), &head(true)).unwrap();
        writer.undo(&undo).unwrap();
        writer.step_done(step, 60, vec![0, 2]).unwrap();
        let text = std::mem::take(writer.get_mut());
        let done = PlanLine::StepDone { step, revision: 60, left: vec![0, 2] };
        prop_assert_eq!(read(&text).unwrap(), vec![PlanLine::Undo(undo.clone()), done]);
        prop_assert_eq!(read(&text[..text.len() - 1]).unwrap(), vec![PlanLine::Undo(undo)]);
    }
}

#[test]
fn what_does_not_belong_into_a_plan_is_named() {
    let deletion = PlanEntry {
        kind: ChangeKind::Deleted,
        key: b"/a/k".to_vec(),
        value: Vec::new(),
        expected: 7,
        lease: PlannedLease::None,
    };
    let text = String::from_utf8(written(&[deletion])).unwrap();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        read(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string()
    };
    assert!(refused("_plan\":1", "_plan\":2").contains("the plan has format 2"));
    assert!(refused("cdf8", "+1").contains("'+1' is not a cluster ID"));
    assert!(refused("/a/k", "/b/k").contains("the key does not have the prefix of the plan"));
    assert!(refused("deleted", "created").contains("a value belongs to keys"));
    assert!(refused("revision\":7", "revision\":0").contains("expected_mod_revision 0 does not fit"));
    assert!(refused("revision\":7", "revision\":7,\"value\":\"\"").contains("a value belongs to keys"));
    assert!(refused("revision\":7", "revision\":7,\"ttl\":5").contains("lease_action, lease and ttl do not fit"));
    assert!(refused("revision\":7", "revision\":7,\"step\":5").contains("belong to undo files"));
    assert!(refused("revision\":7", "revision\":7,\"colour\":5").contains("colour"));
    assert!(refused("\"entries\":1", "\"entries\":2").contains("the plan has 1 entries, its last line counts 2"));
    assert!(read(format!("{text}{text}").as_bytes()).unwrap_err().to_string().contains("follows the end"));
    assert!(read(b"").unwrap_err().to_string().contains("not a plan of 'kvadm restore'"));
    assert!(read(b"{\"kvadm_plan\":1}\n").unwrap_err().to_string().contains("not a plan of 'kvadm restore'"));
    let line = text.lines().nth(1).unwrap();
    let twice = text.replacen(line, &format!("{line}\n{line}"), 1);
    assert!(read(twice.as_bytes()).unwrap_err().to_string().contains("the keys are not in order"));
}
