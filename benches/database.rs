//! Reading a database file beside a server that has the same data.

use std::process::Command;

use crate::cases::{Case, Place, Target, case, cmd};
use crate::measure;
use crate::shapes::Shape;

/// Revisions of each key.
const REVISIONS: u64 = 4;

/// The names of the cases.
const NAMES: [&str; 4] =
    ["list --db, 4 revisions a key", "list --db --keys-only", "list --db --du --history", "get --db of one key"];

/// A snapshot with four revisions of each key.
///
/// # Errors
/// The store cannot be loaded or saved.
pub fn rows(p: &Place<'_>) -> Result<Vec<Case>, String> {
    use Target::{Memory, Rate, Wall};
    if !NAMES.iter().any(|name| p.wants(name)) {
        return Ok(Vec::new());
    }
    let [list_all, list_keys, history, get_one] = NAMES;
    for _ in 0..REVISIONS {
        let load = p.client_at(&p.second, "load", &["/h/", &p.keys.to_string(), "decimal"]);
        measure::run(&load, p.work)?;
    }
    let db = p.file("four-revisions.db");
    measure::run(&p.etcdctl_at(&p.second, &["snapshot", "save", &db]), p.work)?;
    let list = |more: &[&str]| cmd(&[&[p.kvadm.as_str(), "--db", &db, "list", "/h/"], more].concat());
    let get = |more: &[&str]| Some(p.etcdctl_at(&p.second, &[&["get", "--prefix", "/h/"], more].concat()));
    // At most 200 bytes a key of the file, and what the program itself takes. Other cases have put keys into the same store.
    #[allow(clippy::cast_precision_loss)]
    let memory = Memory((16.0 + keys_of(p, &db)? as f64 * 200.0 / f64::from(1 << 20)).ceil());
    let key = String::from_utf8_lossy(&Shape::Decimal.key("/h/", p.keys / 2)).into_owned();
    let one = cmd(&[&p.kvadm, "--db", &db, "get", &key]);
    Ok(vec![
        // 1 000 000 keys in 3 s.
        Case { keys: p.keys, ..case(list_all, list(&[]), get(&[]), &[Wall(1.0), Rate(333_333.0), memory]) },
        Case { keys: p.keys, ..case(list_keys, list(&["--keys-only"]), get(&["--keys-only"]), &[Wall(1.0), memory]) },
        Case { keys: p.keys, ..case(history, list(&["--du", "--history"]), None, &[memory]) },
        case(get_one, one, None, &[Memory(24.0)]),
    ])
}

/// The number of keys in a file.
fn keys_of(p: &Place<'_>, db: &str) -> Result<u64, String> {
    let counted = Command::new(&p.kvadm).args(["--db", db, "list", "--count"]).output();
    let text = counted.map_err(|error| format!("{}: {error}", p.kvadm))?.stdout;
    String::from_utf8_lossy(&text).trim().parse().map_err(|error| format!("{db}: the keys cannot be counted: {error}"))
}
