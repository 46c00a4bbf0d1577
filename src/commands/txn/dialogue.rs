//! Parses the dialogue of `etcdctl txn -i`, line by line: compares, success requests and failure requests, each section ended
//! by a blank line. No I/O.
//!
//! Source: `etcdctl/ctlv3/command/txn_command.go` of etcd. What etcdctl ignores, such as text after a compare, is an error here.

use super::words::{quoted, split};
use crate::kvstore::{Compare, CompareOp, CompareTarget, KeyRange, KeySelector, LeaseId, LeaseMode, Op, Txn, Write};
use crate::output::bytes;

/// The sections, with the prompts of etcdctl.
const PROMPTS: [&str; 3] = ["compares:", "success requests (get, put, del):", "failure requests (get, put, del):"];

/// The lines read so far.
#[derive(Debug, Default)]
pub struct Dialogue {
    section: usize,
    line: usize,
    txn: Txn,
}

impl Dialogue {
    /// The prompt of the section that the next line belongs to; `None` after the last section.
    pub fn prompt(&self) -> Option<&'static str> {
        PROMPTS.get(self.section).copied()
    }

    /// Adds the next line. After an error, the line counts as not written.
    ///
    /// # Errors
    /// The number of the line and what was expected.
    pub fn push(&mut self, line: &[u8]) -> Result<(), String> {
        self.line += 1;
        self.add(line).map_err(|why| format!("line {}: {why}", self.line))
    }

    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        let line = std::str::from_utf8(line).map_err(|_| "not UTF-8: write such bytes as \\xff in double quotes")?;
        let line = line.trim();
        match (self.section, line) {
            (3.., "") => {}
            (3.., _) => return Err("the transaction has ended with its third blank line".to_owned()),
            (_, "") => self.section += 1,
            (0, line) => self.txn.compares.push(compare(line)?),
            (1, line) => self.txn.then.push(request(line)?),
            (_, line) => self.txn.otherwise.push(request(line)?),
        }
        Ok(())
    }

    /// The transaction.
    ///
    /// # Errors
    /// The input ended within a section: it may have been cut.
    pub fn finish(self) -> Result<Txn, String> {
        match self.prompt() {
            None => Ok(self.txn),
            Some(prompt) => Err(format!(
                "the input ended after line {}, in the section '{prompt}'; a blank line must end each of the three sections",
                self.line
            )),
        }
    }
}

/// What a compare looks like.
const COMPARE: &str = "expected a compare such as mod(\"key\") > \"0\"";

fn compare(line: &str) -> Result<Compare, String> {
    let (target, rest) = line.split_once('(').ok_or_else(|| format!("{COMPARE}, not '{line}'"))?;
    let (key, rest) = quoted(rest.trim_start()).map_err(|why| format!("{COMPARE}: {why}"))?;
    let rest =
        rest.trim_start().strip_prefix(')').ok_or_else(|| format!("{COMPARE}: the ) after the key is missing"))?;
    let rest = rest.trim_start();
    let (op, rest) = rest.split_at(rest.find(|c| !matches!(c, '=' | '!' | '<' | '>')).unwrap_or(rest.len()));
    let op = match op {
        "=" => CompareOp::Equal,
        "!=" => CompareOp::NotEqual,
        "<" => CompareOp::Less,
        ">" => CompareOp::Greater,
        _ => return Err(format!("{COMPARE}: the operator after ) must be =, !=, < or >")),
    };
    let (value, rest) = quoted(rest.trim_start()).map_err(|why| format!("{COMPARE}: {why}"))?;
    if !rest.trim().is_empty() {
        return Err(format!("unexpected text after the compare: '{}'", rest.trim()));
    }
    let text = || String::from_utf8_lossy(&value);
    let number = || text().parse::<i64>().map_err(|_| format!("'{}' is not a whole number", bytes::escape(&value)));
    let target = match target {
        "ver" | "version" => CompareTarget::Version(number()?),
        "c" | "create" => CompareTarget::Create(number()?),
        "m" | "mod" => CompareTarget::Mod(number()?),
        "val" | "value" => CompareTarget::Value(value),
        "lease" => {
            let lease = text().parse::<LeaseId>();
            let lease = lease.map_err(|_| format!("'{}' is not a lease ID in hex", bytes::escape(&value)))?;
            CompareTarget::Lease(LeaseId::from_wire(lease.0))
        }
        other => return Err(format!("{COMPARE}: '{other}' is not one of mod, create, version, value, lease")),
    };
    Ok(Compare::key(&key, op, target))
}

fn request(line: &str) -> Result<Op, String> {
    let words = split(line)?;
    let Some((name, words)) = words.split_first() else { return Err("the request is missing".to_owned()) };
    match name.as_slice() {
        b"put" => put(&RequestWords::parse(words, &["prev-kv", "ignore-value", "ignore-lease"], &["lease"])?),
        b"get" => get(&RequestWords::parse(
            words,
            &["prefix", "from-key", "keys-only", "count-only"],
            &["rev", "limit", "consistency"],
        )?),
        b"del" => delete(&RequestWords::parse(words, &["prefix", "from-key", "prev-kv", "range", "all"], &[])?),
        other => Err(format!("expected a request that begins with put, get or del, not '{}'", bytes::escape(other))),
    }
}

/// The words of a request after its name.
struct RequestWords<'a> {
    positional: Vec<&'a [u8]>,
    flags: Vec<(&'static str, &'a [u8])>,
}

impl<'a> RequestWords<'a> {
    /// Sorts the words as pflag does: options may stand anywhere before `--`.
    fn parse(words: &'a [Vec<u8>], switches: &[&'static str], valued: &[&'static str]) -> Result<Self, String> {
        let mut parsed = Self { positional: Vec::new(), flags: Vec::new() };
        let mut words = words.iter().map(Vec::as_slice);
        while let Some(word) = words.next() {
            if word == b"--" {
                parsed.positional.extend(words.by_ref());
                break;
            }
            if word.len() < 2 || !word.starts_with(b"-") {
                parsed.positional.push(word);
                continue;
            }
            let shown = || bytes::escape(word);
            let flag = word.strip_prefix(b"--").unwrap_or_default();
            let at = flag.iter().position(|byte| *byte == b'=');
            let (name, value) = flag.split_at(at.unwrap_or(flag.len()));
            let value = value.strip_prefix(b"=");
            let known = |names: &[&'static str]| names.iter().copied().find(|known| known.as_bytes() == name);
            let (name, value) = match (known(switches), known(valued), value) {
                (Some(name), _, value) => (name, value.unwrap_or(b"true")),
                (_, Some(name), Some(value)) => (name, value),
                (_, Some(name), None) => (name, words.next().ok_or_else(|| format!("{} needs a value", shown()))?),
                _ => {
                    let names: Vec<String> = switches.iter().chain(valued).map(|name| format!("--{name}")).collect();
                    return Err(format!(
                        "{} is not one of {}; put -- before a value that begins with -",
                        shown(),
                        names.join(", ")
                    ));
                }
            };
            parsed.flags.push((name, value));
        }
        Ok(parsed)
    }

    fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.flags.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| *value)
    }

    fn switch(&self, name: &str) -> Result<bool, String> {
        match self.value(name) {
            None | Some(b"false") => Ok(false),
            Some(b"true") => Ok(true),
            Some(other) => Err(format!("--{name} must be true or false, not '{}'", bytes::escape(other))),
        }
    }

    fn number(&self, name: &str) -> Result<i64, String> {
        let Some(value) = self.value(name) else { return Ok(0) };
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
        number
            .filter(|number| *number >= 0)
            .ok_or_else(|| format!("--{name} must be a whole number, not '{}'", bytes::escape(value)))
    }

    /// The key, the keys up to an end, with a prefix, or from a key on.
    fn selector(&self) -> Result<KeySelector, String> {
        let (prefix, from_key) = (self.switch("prefix")?, self.switch("from-key")?);
        match (self.positional.as_slice(), prefix, from_key) {
            (_, true, true) => Err("--prefix and --from-key cannot be combined".to_owned()),
            ([key], false, false) => Ok(KeySelector::Key(key.to_vec())),
            ([key], true, _) => Ok(KeySelector::Range(KeyRange::prefix(key))),
            ([key], _, true) => Ok(KeySelector::Range(KeyRange::between(key, None))),
            ([key, end], false, false) => {
                // etcd's own sign for "no upper bound".
                let range = KeyRange::between(key, (*end != b"\0").then_some(end));
                match range.is_empty() {
                    true => Err(format!("empty range: {} is not less than {}", bytes::name(key), bytes::name(end))),
                    false => Ok(KeySelector::Range(range)),
                }
            }
            ([_, _], ..) => Err("--prefix and --from-key take one key".to_owned()),
            ([], ..) => Err("the key is missing".to_owned()),
            (more, ..) => Err(format!("expected a key and at most an end, not {} words", more.len())),
        }
    }
}

fn put(words: &RequestWords<'_>) -> Result<Op, String> {
    let (keep_value, keep_lease) = (words.switch("ignore-value")?, words.switch("ignore-lease")?);
    let (key, value) = match (words.positional.as_slice(), keep_value) {
        ([key], true) => (key, &b""[..]),
        ([key, value], false) => (key, *value),
        ([_, _], true) => return Err("--ignore-value takes no value".to_owned()),
        ([_], false) => return Err("the value is missing".to_owned()),
        ([], _) => return Err("the key is missing".to_owned()),
        (more, _) => {
            return Err(format!("expected a key and a value, not {} words; quote text with spaces", more.len()));
        }
    };
    let lease = match words.value("lease") {
        None => None,
        Some(id) => {
            let lease = std::str::from_utf8(id).ok().and_then(|id| id.parse::<LeaseId>().ok());
            let lease = lease.ok_or_else(|| format!("--lease: '{}' is not a lease ID in hex", bytes::escape(id)))?;
            LeaseId::from_wire(lease.0)
        }
    };
    let lease = match (lease, keep_lease) {
        (Some(_), true) => return Err("--lease and --ignore-lease cannot be combined".to_owned()),
        (Some(lease), false) => LeaseMode::Attach(lease),
        (None, true) => LeaseMode::Keep,
        (None, false) => LeaseMode::Detach,
    };
    Ok(Op::Put(Write { key: key.to_vec(), value: value.to_vec(), keep_value, lease, prev: words.switch("prev-kv")? }))
}

fn get(words: &RequestWords<'_>) -> Result<Op, String> {
    if let Some(other) = words.value("consistency").filter(|consistency| *consistency != b"l") {
        return Err(format!("--consistency must be l in a transaction of kvadm, not '{}'", bytes::escape(other)));
    }
    Ok(Op::Get {
        over: words.selector()?,
        revision: words.number("rev")?,
        keys_only: words.switch("keys-only")?,
        count_only: words.switch("count-only")?,
        limit: words.number("limit")?,
    })
}

fn delete(words: &RequestWords<'_>) -> Result<Op, String> {
    let over = words.selector()?;
    if words.switch("range")? && matches!(over, KeySelector::Key(_)) {
        return Err("--range needs a key and an end".to_owned());
    }
    let everything = matches!(&over, KeySelector::Range(range) if *range == KeyRange::prefix(b""));
    if everything && !words.switch("all")? {
        return Err("this deletes every key; add --all if that is meant".to_owned());
    }
    Ok(Op::Delete { over, prev: words.switch("prev-kv")? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::check_message;

    fn parse(text: &str) -> Result<Txn, String> {
        let mut dialogue = Dialogue::default();
        text.lines().try_for_each(|line| dialogue.push(line.as_bytes()))?;
        dialogue.finish()
    }

    fn error(text: &str) -> String {
        parse(text).err().unwrap_or_default()
    }

    #[test]
    fn the_example_of_etcdctl() {
        let text = "mod(\"key1\") > \"0\"\n\nput key1 \"overwrote-key1\"\n\nput key1 \"created-key1\"\nput key2 'some extra key'\n\n";
        let put = |key: &str, value: &str| Op::Put(Write { key: key.into(), value: value.into(), ..Write::default() });
        let txn = Txn {
            compares: vec![Compare::key(b"key1", CompareOp::Greater, CompareTarget::Mod(0))],
            then: vec![put("key1", "overwrote-key1")],
            otherwise: vec![put("key1", "created-key1"), put("key2", "some extra key")],
        };
        assert_eq!(parse(text), Ok(txn));
        assert_eq!(parse("\n \n\t\n"), Ok(Txn::default()));
    }

    #[test]
    fn every_target_and_option() {
        let text = "value(\"a\\x00\") != \"v\"\nval(`b`) = `\\n`\nver(\"c\")<\"3\"\nc(\"d\") = \"4\"\nlease(\"e\") = \"1f\"\nlease(\"e\") = \"0\"\n\n\
            put a b --lease=1f --prev-kv\nput --ignore-value a --ignore-lease\nput a -- -b\nput a b --prev-kv=false\n\
            get a b\nget a --prefix --rev 7 --limit=3 --keys-only\nget a \"\\x00\"\nget a --from-key --count-only --consistency l\n\
            del a\ndel a b --range --prev-kv\ndel \"\" --prefix --all\n\n\n";
        let txn = parse(text).unwrap_or_else(|why| panic!("{why}"));
        let key = |key: &[u8], op, target| Compare::key(key, op, target);
        assert_eq!(
            txn.compares,
            [
                key(b"a\0", CompareOp::NotEqual, CompareTarget::Value(b"v".to_vec())),
                key(b"b", CompareOp::Equal, CompareTarget::Value(b"\\n".to_vec())),
                key(b"c", CompareOp::Less, CompareTarget::Version(3)),
                key(b"d", CompareOp::Equal, CompareTarget::Create(4)),
                key(b"e", CompareOp::Equal, CompareTarget::Lease(Some(LeaseId(0x1f)))),
                key(b"e", CompareOp::Equal, CompareTarget::Lease(None)),
            ]
        );
        let write = || Write { key: b"a".to_vec(), value: b"b".to_vec(), ..Write::default() };
        let get = |over| Op::Get { over, revision: 0, keys_only: false, count_only: false, limit: 0 };
        let from = || KeySelector::Range(KeyRange::between(b"a", None));
        let between = || KeySelector::Range(KeyRange::between(b"a", Some(b"b")));
        let prefix = |prefix: &[u8]| KeySelector::Range(KeyRange::prefix(prefix));
        assert_eq!(
            txn.then,
            [
                Op::Put(Write { lease: LeaseMode::Attach(LeaseId(0x1f)), prev: true, ..write() }),
                Op::Put(Write { value: vec![], keep_value: true, lease: LeaseMode::Keep, ..write() }),
                Op::Put(Write { value: b"-b".to_vec(), ..write() }),
                Op::Put(write()),
                get(between()),
                Op::Get { over: prefix(b"a"), revision: 7, keys_only: true, count_only: false, limit: 3 },
                get(from()),
                Op::Get { over: from(), revision: 0, keys_only: false, count_only: true, limit: 0 },
                Op::Delete { over: KeySelector::Key(b"a".to_vec()), prev: false },
                Op::Delete { over: between(), prev: true },
                Op::Delete { over: prefix(b""), prev: false },
            ]
        );
    }

    #[test]
    fn an_error_names_the_line_and_what_was_expected() {
        for (text, why) in [
            (
                "mod(k) > \"0\"",
                "line 1: expected a compare such as mod(\"key\") > \"0\": expected text in double quotes at 'k) > \"0\"'",
            ),
            (
                "mod(\"k\") >= \"0\"",
                "line 1: expected a compare such as mod(\"key\") > \"0\": the operator after ) must be =, !=, < or >",
            ),
            ("\n\nput k v w", "line 3: expected a key and a value, not 3 words; quote text with spaces"),
            ("put k v", "line 1: expected a compare such as mod(\"key\") > \"0\", not 'put k v'"),
            ("mod(\"k\") > \"x\"", "line 1: 'x' is not a whole number"),
            ("mod(\"k\") > \"0\" \"1\"", "line 1: unexpected text after the compare: '\"1\"'"),
            (
                "size(\"k\") > \"0\"",
                "line 1: expected a compare such as mod(\"key\") > \"0\": 'size' is not one of mod, create, version, value, lease",
            ),
            ("\ndelete k", "line 2: expected a request that begins with put, get or del, not 'delete'"),
            ("\nput k", "line 2: the value is missing"),
            ("\ndel \"\" --prefix", "line 2: this deletes every key; add --all if that is meant"),
            ("\nget b a", "line 2: empty range: b is not less than a"),
            (
                "\nput k -v",
                "line 2: -v is not one of --prev-kv, --ignore-value, --ignore-lease, --lease; put -- before a value that begins with -",
            ),
            (
                "\nget k --sort-by key",
                "line 2: --sort-by is not one of --prefix, --from-key, --keys-only, --count-only, --rev, --limit, --consistency; put -- before a value that begins with -",
            ),
            ("\n\n\nput a b", "line 4: the transaction has ended with its third blank line"),
            (
                "\nput a b\n",
                "the input ended after line 2, in the section 'success requests (get, put, del):'; a blank line must end each of the three sections",
            ),
        ] {
            assert_eq!(error(text), why, "{text}");
        }
        let mut dialogue = Dialogue::default();
        assert!(dialogue.push(b"value(\"\xff\") = \"\"").is_err_and(|why| why.starts_with("line 1: not UTF-8")));
        // A wrong line leaves the dialogue as it was.
        assert!((0..3).all(|_| dialogue.push(b"\n").is_ok()) && dialogue.finish() == Ok(Txn::default()));
    }

    proptest! {
        #[test]
        fn any_line_is_answered_in_words(section in 0usize..3, line in "[a-z\"'`\\\\()<>=! \\-x0-9\u{e9}\u{1b}]{1,40}") {
            let mut dialogue = Dialogue { section, ..Dialogue::default() };
            if let Err(why) = dialogue.push(line.as_bytes()) {
                let _ = check_message(&bytes::escape(why.as_bytes()));
            }
        }
    }
}
