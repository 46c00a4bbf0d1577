//! Cases of backups: a store of half a gigabyte with 1 000 000 keys, saved and verified.

use crate::cases::{Case, Place, Target, case, cmd};
use crate::measure;

/// The names of the cases, without the size.
const NAMES: [&str; 2] = ["snapshot save", "snapshot verify, compared with openssl dgst"];

/// Saves and verifies the store beside etcdctl and openssl. Each run replaces the file of the one before.
///
/// # Errors
/// The store cannot be loaded or saved.
pub fn backups(p: &Place<'_>) -> Result<Vec<Case>, String> {
    use Target::{Memory, Wall};
    if !NAMES.iter().any(|name| p.wants(name)) {
        return Ok(Vec::new());
    }
    let [save, verify] = NAMES;
    let keys = p.keys + p.keys / 4;
    measure::run(&cmd(&[&p.own, "client", "load", &p.backup, "/k/", &keys.to_string(), "decimal"]), p.work)?;
    let (ours, theirs, kept) = (p.file("ours.db"), p.file("theirs.db"), p.file("kept.db"));
    measure::run(&p.kvadm_at(&p.backup, &["snapshot", "save", &kept]), p.work)?;
    let size = std::fs::metadata(&kept).map_err(|e| format!("{kept}: {e}"))?.len() >> 20;
    let row = |name: &str, ours, theirs, targets: &[Target]| Case {
        keys,
        ..case(&format!("{name}, {size} MiB"), ours, Some(theirs), targets)
    };
    let save = row(
        save,
        p.kvadm_at(&p.backup, &["snapshot", "save", &ours]),
        p.etcdctl_at(&p.backup, &["snapshot", "save", &theirs]),
        // Nine tenths of etcdctl's speed.
        &[Wall(1.11), Memory(32.0)],
    );
    let verify = row(
        verify,
        cmd(&[&p.kvadm, "snapshot", "verify", &kept]),
        cmd(&["openssl", "dgst", "-sha256", &kept]),
        &[Wall(1.11), Memory(32.0)],
    );
    Ok(vec![Case { before: vec![cmd(&["rm", "-f", &ours, &theirs])], ..save }, verify])
}
