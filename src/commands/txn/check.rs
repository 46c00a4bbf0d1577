//! Checks a transaction against etcd's limits before it is sent. No I/O.
//!
//! The rules are those of `checkTxnRequest` and `checkIntervals` in etcd's `server/etcdserver/api/v3rpc/key.go`.

use crate::kvstore::{KeyRange, KeySelector, MAX_REQUEST_BYTES, Op, Txn};
use crate::output::bytes;

/// Checks that no branch writes a key twice.
///
/// # Errors
/// The key.
pub fn check_writes(txn: &Txn) -> Result<(), String> {
    written_keys(&txn.then).and_then(|_| written_keys(&txn.otherwise)).map(|_| ())
}

/// Checks the limits.
///
/// # Errors
/// The exceeded limit, with the server's option for it.
pub fn check_limits(txn: &Txn, max_ops: usize, locked: bool) -> Result<(), String> {
    // --if-locked nests the transaction in another one.
    let limit = max_ops.saturating_sub(usize::from(locked));
    count(txn, limit, "the transaction")?;
    let size = txn.size();
    if size > MAX_REQUEST_BYTES {
        return Err(format!(
            "the transaction has about {size} bytes; etcd accepts {MAX_REQUEST_BYTES} bytes per request \
             (--max-request-bytes on the server)"
        ));
    }
    Ok(())
}

/// Where a transaction names the empty key, such as `then[0].put`. etcd has it only inside a namespace.
pub fn empty_key(txn: &Txn) -> Option<String> {
    let is_empty = |over: &KeySelector| matches!(over, KeySelector::Key(key) if key.is_empty());
    let in_op = |op: &Op| match op {
        Op::Put(write) => write.key.is_empty().then(|| "put".to_owned()),
        Op::Delete { over, .. } => is_empty(over).then(|| "delete".to_owned()),
        Op::Get { over, .. } => is_empty(over).then(|| "get".to_owned()),
        Op::Txn(nested) => empty_key(nested).map(|place| format!("txn.{place}")),
    };
    let compare = txn.compares.iter().position(|compare| is_empty(&compare.over)).map(|index| format!("if[{index}]"));
    compare.or_else(|| {
        [("then", &txn.then), ("else", &txn.otherwise)].into_iter().find_map(|(branch, ops)| {
            ops.iter().enumerate().find_map(|(index, op)| Some(format!("{branch}[{index}].{}", in_op(op)?)))
        })
    })
}

fn count(txn: &Txn, limit: usize, which: &str) -> Result<(), String> {
    let Txn { compares, then, otherwise } = txn;
    for (what, number) in
        [("compares", compares.len()), ("operations in 'then'", then.len()), ("operations in 'else'", otherwise.len())]
    {
        if number > limit {
            return Err(format!(
                "{which} has {number} {what}; the limit here is {limit} (--max-ops raises it, if the servers' \
                 --max-txn-ops allows it)"
            ));
        }
    }
    let used = compares.len().max(then.len()).max(otherwise.len());
    for op in then.iter().chain(otherwise) {
        if let Op::Txn(nested) = op {
            count(nested, limit - used, "a nested transaction")?;
        }
    }
    Ok(())
}

/// The keys that a branch puts, and the ranges that it deletes.
#[derive(Default)]
struct WrittenKeys {
    puts: Vec<Vec<u8>>,
    deletes: Vec<KeyRange>,
}

fn written_keys(ops: &[Op]) -> Result<WrittenKeys, String> {
    let mut all = WrittenKeys::default();
    for op in ops {
        if let Op::Delete { over, .. } = op {
            all.deletes.push(match over {
                KeySelector::Key(key) => KeyRange::key(key),
                KeySelector::Range(range) => range.clone(),
            });
        }
    }
    for op in ops {
        let Op::Txn(nested) = op else { continue };
        let (then, otherwise) = (written_keys(&nested.then)?, written_keys(&nested.otherwise)?);
        all.deletes.extend(then.deletes.into_iter().chain(otherwise.deletes));
        let before = all.puts.len();
        // Only one of the two branches runs: a key in both is not a duplicate.
        for key in then.puts.into_iter().chain(otherwise.puts) {
            let duplicate = all.puts[..before].contains(&key);
            add(&mut all, key, duplicate)?;
        }
    }
    for op in ops {
        if let Op::Put(write) = op {
            let duplicate = all.puts.contains(&write.key);
            add(&mut all, write.key.clone(), duplicate)?;
        }
    }
    Ok(all)
}

fn add(all: &mut WrittenKeys, key: Vec<u8>, duplicate: bool) -> Result<(), String> {
    if duplicate {
        return Err(format!("{} is written twice; a transaction may write each key only once", bytes::escape(&key)));
    }
    if all.deletes.iter().any(|range| range.contains(&key)) {
        return Err(format!(
            "{} is both written and deleted; a transaction may write each key only once",
            bytes::escape(&key)
        ));
    }
    all.puts.push(key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvstore::{Compare, Write};

    fn put(key: &str) -> Op {
        Op::Put(Write { key: key.as_bytes().to_vec(), ..Write::default() })
    }

    fn nested(then: Vec<Op>, otherwise: Vec<Op>) -> Op {
        Op::Txn(Txn { compares: vec![], then, otherwise })
    }

    fn check_then(then: Vec<Op>) -> Result<(), String> {
        let txn = Txn { then, ..Txn::default() };
        check_limits(&txn, 128, false).and_then(|()| check_writes(&txn))
    }

    #[test]
    fn an_empty_key_is_found_wherever_it_is() {
        let key = |key: &str| KeySelector::Key(key.as_bytes().to_vec());
        let txn = |op: Op| Txn { then: vec![put("/a")], otherwise: vec![put("/b"), op], ..Txn::default() };
        let delete = |over| Op::Delete { over, prev: false };
        assert_eq!(empty_key(&txn(put(""))).as_deref(), Some("else[1].put"));
        assert_eq!(empty_key(&txn(delete(key("")))).as_deref(), Some("else[1].delete"));
        assert_eq!(empty_key(&txn(Op::get_at(key(""), 0))).as_deref(), Some("else[1].get"));
        assert_eq!(empty_key(&txn(nested(vec![put("")], vec![]))).as_deref(), Some("else[1].txn.then[0].put"));
        assert_eq!(empty_key(&txn(delete(KeySelector::Range(KeyRange::prefix(b""))))), None);
        let compares = vec![Compare::unchanged(b"/a", 1), Compare::unchanged(b"", 1)];
        assert_eq!(empty_key(&Txn { compares, ..Txn::default() }).as_deref(), Some("if[1]"));
    }

    #[test]
    fn counts_each_branch_and_what_is_nested() {
        let many = |n: usize| (0..n).map(|i| put(&format!("{i}"))).collect::<Vec<_>>();
        assert!(check_then(many(128)).is_ok());
        assert!(
            check_then(many(129)).is_err_and(|e| e.contains("129 operations in 'then'") && e.contains("--max-txn-ops"))
        );
        let txn = Txn { then: many(128), ..Txn::default() };
        assert!(check_limits(&txn, 128, true).is_err());
        assert!(check_limits(&txn, 129, true).is_ok());
        let mut deep = many(100);
        deep.push(nested((0..27).map(|i| put(&format!("n{i}"))).collect(), vec![]));
        assert!(check_then(deep.clone()).is_ok());
        deep.push(put("one more"));
        assert!(check_then(deep).is_err_and(|e| e.contains("nested")));
        let compares = (0..129).map(|i| Compare::missing(format!("{i}").as_bytes())).collect();
        assert!(check_limits(&Txn { compares, ..Txn::default() }, 128, false).is_err());
    }

    #[test]
    fn a_key_is_written_once() {
        assert!(
            check_then(vec![put("a"), put("a")])
                .is_err_and(|e| e == "a is written twice; a transaction may write each key only once")
        );
        let deletion = Op::Delete { over: KeySelector::Range(KeyRange::prefix(b"a")), prev: false };
        assert!(check_then(vec![put("ab"), deletion.clone()]).is_err());
        assert!(check_then(vec![put("b"), deletion.clone(), deletion.clone()]).is_ok());
        assert!(check_then(vec![nested(vec![put("a")], vec![put("a")])]).is_ok());
        assert!(check_then(vec![nested(vec![put("a")], vec![]), nested(vec![], vec![put("a")])]).is_err());
        assert!(check_then(vec![nested(vec![put("a")], vec![]), deletion]).is_err());
    }

    #[test]
    fn the_size_is_named() {
        let large = Op::Put(Write { key: b"k".to_vec(), value: vec![0; 2 << 20], ..Write::default() });
        assert!(check_then(vec![large]).is_err_and(|e| e.contains("1572864 bytes")));
    }
}
