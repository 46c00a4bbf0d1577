//! `txn --interactive`: the dialogue of `etcdctl txn -i`.

use std::io::Write;
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::lock_faults::Dice;
use super::support::{Etcd, Kvadm, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

fn txn(text: &str, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(shared()).args(["txn", "-i"]).args(args).stdin(text)
}

/// The same text to `etcdctl txn -i`.
fn etcdctl(etcd: &Etcd, text: &str) -> Output {
    let mut command = etcd.etcdctl_command(&["txn", "-i"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end at a wrong line.
    child.stdin.take().unwrap().write_all(text.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

#[test]
fn the_example_of_etcdctl_runs_as_it_is() {
    let etcd = shared();
    let p = unique_prefix();
    let text = format!(
        "mod(\"{p}1\") > \"0\"\n\nput {p}1 \"overwrote-key1\"\n\nput {p}1 \"created-key1\"\nput {p}2 \"some extra key\"\n\n"
    );
    let value = |name: &str| etcd.held(format!("{p}{name}")).map(|held| held.text());
    txn(&text, &["--dry-run"]).run().code(5);
    assert_eq!(value("1"), None);
    txn(&text, &[]).run().code(5).err_empty().out_has("else\t").out_has("put\nput\n");
    assert_eq!((value("1").as_deref(), value("2").as_deref()), (Some("created-key1"), Some("some extra key")));
    let told = txn(&text, &["-o", "json"]).run().ok().json();
    assert_eq!((&told["branch"], &told["results"]), (&json!("then"), &json!([{"op": "put"}])));
    assert_eq!(value("1").as_deref(), Some("overwrote-key1"));
    // A namespace, a lock and what the requests return.
    let inside = "\nput a \"v\\x00\\xff\"\nget a\ndel a --prefix --prev-kv\n\n\n";
    let run = txn(inside, &["--namespace", &p, "-o", "json"]).run();
    run.code(2).err_has("a is both written and deleted");
    let run = txn("\nput a \"v\\x00\\xff\" --prev-kv\nget a\n\n\n", &["--namespace", &p, "-o", "json"]).run();
    let got = &run.ok().json()["results"][1]["kvs"][0];
    assert_eq!((&got["key"], &got["value_base64"]), (&json!("a"), &json!("dgD/")));
    let lease = etcd.grant(600);
    let text =
        format!("value(\"a\") = \"v\\x00\\377\"\nlease(\"a\") = \"0\"\n\nput a --ignore-value --lease {lease}\n\n\n");
    txn(&text, &["--namespace", &p]).run().ok();
    let text = format!("lease(\"a\") = \"{lease}\"\n\nput --ignore-lease a new\n\n\n");
    txn(&text, &["--namespace", &p]).run().ok();
    let record = Kvadm::new().endpoint(etcd).args(["get", &format!("{p}a"), "-o", "json"]).run().ok().json();
    assert_eq!((&record["value"], &record["lease"]), (&json!("new"), &json!(lease)));
}

#[test]
fn a_wrong_line_is_named_and_nothing_is_sent() {
    let p = unique_prefix();
    for (text, why) in [
        (
            format!("\nput {p}k v w\n\n\n"),
            "stdin: line 2: expected a key and a value, not 3 words; quote text with spaces",
        ),
        (format!("mod({p}k) > 0\n\n\n\n"), "line 1: expected a compare such as mod(\"key\") > \"0\""),
        (format!("\nput {p}k v\n"), "the input ended after line 2, in the section 'success requests (get, put, del):'"),
        (format!("\nput {p}k v\n\n"), "in the section 'failure requests (get, put, del):'"),
        (String::new(), "the input ended after line 0"),
        (format!("\nput {p}k v\n\n\nput {p}k w\n"), "line 5: the transaction has ended with its third blank line"),
        (format!("\nput {p}k v\nput {p}k w\n\n\n"), "is written twice"),
        ("\nput \"\" v\n\n\n".to_owned(), "then[0].put: the key must not be empty"),
        ("\ndel \"\" --from-key\n\n\n".to_owned(), "this deletes every key; add --all if that is meant"),
    ] {
        txn(&text, &[]).run().code(2).out_empty().err_has(why);
    }
    assert!(shared().held_under(&p).is_empty());
    let kvadm = |args: &[&str]| Kvadm::new().endpoint(shared()).args(args).run();
    kvadm(&["txn", "-i", "file"]).code(2).out_empty();
    kvadm(&["txn"]).code(2).out_empty();
    txn("\nput k v --lease 1f\n\n\n", &["--namespace", &p]).run().code(4).err_has("lease");
}

#[test]
fn a_terminal_has_prompts_and_a_wrong_line_can_be_typed_again() {
    let etcd = shared();
    let p = unique_prefix();
    let mut running = Kvadm::new().endpoint(etcd).args(["txn", "-i", "-o", "text"]).pty().spawn();
    running.wait_for_stdout("compares:", SOON);
    running.write(format!("mod(\"{p}k\") = 0\n"));
    running.wait_for_stdout("type the line again, or press Ctrl-C", SOON);
    running.write(format!("mod(\"{p}k\") = \"0\"\n\n"));
    running.wait_for_stdout("success requests (get, put, del):", SOON);
    running.write(format!("put {p}k v\n\n"));
    running.wait_for_stdout("failure requests (get, put, del):", SOON);
    running.write("\n");
    running.wait().ok().out_has("then\t");
    assert_eq!(etcd.held(format!("{p}k")).unwrap().text(), "v");
    // Ctrl-D and Ctrl-C send nothing.
    let mut running = Kvadm::new().endpoint(etcd).args(["txn", "-i"]).pty().spawn();
    running.wait_for_stdout("compares:", SOON);
    running.write(format!("\nput {p}other v\n\u{4}"));
    running.wait().code(2).out_has("the input ended after line 2");
    let running = Kvadm::new().endpoint(etcd).args(["txn", "-i"]).pty().spawn();
    running.wait_for_stdout("compares:", SOON);
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
    assert!(etcd.held(format!("{p}other")).is_none());
}

/// A text of the dialogue in words that etcdctl knows. It writes each key once.
fn dialogue(dice: &mut Dice, prefix: &str) -> String {
    let quote = |dice: &mut Dice, text: &str| match dice.below(3) {
        0 => text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>(),
        1 => text.replace('e', "\\u0065"),
        _ => text.to_owned(),
    };
    let key = |dice: &mut Dice| format!("{prefix}{}", ["a", "b", "c", "key"][dice.below(4) as usize]);
    let mut text = String::new();
    for _ in 0..dice.below(3) {
        let key = key(dice);
        let key = quote(dice, &key);
        let op = ["=", "!=", "<", ">"][dice.below(4) as usize];
        let number = dice.below(3);
        text += &match dice.below(6) {
            0 => format!("mod(\"{key}\") {op} \"0\"\n"),
            1 => format!("c(\"{key}\")  {op} \"{number}\"\n"),
            2 => format!("version(\"{key}\") {op} \"{number}\" \n"),
            3 => format!("val(\"{key}\") {op} \"one\\ttwo\"\n"),
            4 => format!("  value(\"{key}\") {op} `v{number}`\n"),
            _ => format!("create(\"{key}\") {op} \"0\"\n"),
        };
    }
    text += "\n";
    for _ in 0..2 {
        let mut names = vec!["a", "b", "c", "key"];
        for _ in 0..1 + dice.below(3) {
            let name = names.remove(dice.below(names.len() as u64) as usize);
            let (number, name) = (dice.below(3), format!("{prefix}{name}"));
            let quoted = quote(dice, &name);
            text += &match dice.below(8) {
                0 => format!("put \"{quoted}\" v{number}\n"),
                1 => format!("put {name} \"one\\ttwo\" --prev-kv\n"),
                2 => format!("put --prev-kv=false {name} -- -x\n"),
                3 => format!("put {name} {{\"a\":{number}}}\n"),
                4 => format!("get {name} --prefix --limit={number}\n"),
                5 => format!("del \"{quoted}\"  --prev-kv\n"),
                6 => format!("del {name} {name}0\n"),
                _ => format!("put {name} \"\"\n"),
            };
        }
        text += " \n";
    }
    text
}

#[test]
fn the_same_text_gives_the_same_store() {
    let etcd = shared();
    let mut dice = Dice(11);
    let (ours, theirs) = (unique_prefix(), unique_prefix());
    let mut ran = 0;
    for _ in 0..40 {
        let seed = dice.below(u64::MAX).max(1);
        // Prefixes are told by their keys only, so both texts have the same words.
        let text = |prefix: &str| dialogue(&mut Dice(seed), prefix);
        let told = etcdctl(etcd, &text(&theirs));
        let run = txn(&text(&ours), &[]).run();
        assert!(told.status.success(), "{}\n{told:?}", text(&theirs));
        let out = String::from_utf8_lossy(&told.stdout).into_owned();
        // etcdctl says SUCCESS or FAILURE, for the branch.
        let then = out.contains("SUCCESS");
        assert!(then || out.contains("FAILURE"), "{out}");
        run.code(if then { 0 } else { 5 });
        let held = |prefix: &str| -> Vec<(Vec<u8>, Vec<u8>, i64)> {
            let name = |key: &[u8]| key[prefix.len()..].to_vec();
            etcd.held_under(prefix).iter().map(|held| (name(&held.key), held.value.clone(), held.version)).collect()
        };
        assert_eq!(held(&ours), held(&theirs), "{}", text(&ours));
        ran += usize::from(!held(&ours).is_empty());
    }
    assert!(ran > 20);
}
