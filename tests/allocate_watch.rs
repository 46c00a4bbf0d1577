//! `allocate watch`.

use std::time::Duration;

use serde_json::{Value, json};

use super::allocate_read::Base;
use super::support::{Etcd, Kvadm, Mode, Proxy, Running};

const SOON: Duration = Duration::from_secs(10);

/// The record without its revision, which must be there.
fn told(running: &mut Running) -> Value {
    let mut line: Value = serde_json::from_str(&running.next_line().unwrap()).unwrap();
    assert!(line.as_object_mut().unwrap().remove("mod_revision").unwrap().as_i64() > Some(0), "{line}");
    line
}

#[test]
fn ids_come_change_and_go_with_their_key() {
    let base = Base::fresh();
    base.write(&[("id/1", "old")]);
    let mut watch = base.kvadm("watch", &["--list", "-o", "json", "--count", "4"]).spawn();
    assert_eq!(told(&mut watch), json!({"event": "created", "id": "1", "key": "old"}));
    let done: Value = serde_json::from_str(&watch.next_line().unwrap()).unwrap();
    assert_eq!(done["event"], "list-done");
    // References and locks are no allocation events, and neither is what nobody can read.
    base.write(&[("value/old/n", "1"), ("locks/old/1f", ""), ("id/none", "x"), ("idx/4", "x")]);
    base.write(&[("id/2", "a;")]);
    assert_eq!(told(&mut watch), json!({"event": "created", "id": "2", "key": "a;"}));
    base.write(&[("id/2", "b;")]);
    assert_eq!(told(&mut watch), json!({"event": "modified", "id": "2", "key": "b;", "prev_key": "a;"}));
    base.delete("id/2");
    assert_eq!(told(&mut watch), json!({"event": "deleted", "id": "2", "key": "b;"}));
    watch.wait().ok().err_has("id/none was created, but is not the master of an ID").err_lacks("idx");
}

#[test]
fn text_is_a_line_an_event_flushed_at_once() {
    let base = Base::fresh();
    let mut watch = base.kvadm("watch", &["--list"]).spawn();
    watch.wait_for_stdout("list-done", SOON);
    base.write(&[("id/7", "tab\there")]);
    assert_eq!(watch.next_line().as_deref(), Some("list-done"));
    assert_eq!(watch.next_line().as_deref(), Some("created\t7\ttab\\there"));
    base.delete("id/7");
    assert_eq!(watch.next_line().as_deref(), Some("deleted\t7\ttab\\there"));
}

#[test]
fn the_time_to_wait_is_bounded() {
    let base = Base::fresh();
    base.run("watch", &["--timeout", "1s"]).code(1).out_empty().within(SOON);
    base.write(&[("id/1", "a")]);
    base.run("watch", &["--list", "--count", "1"]).ok().out("created\t1\ta\n");
    base.run("watch", &["--count", "0"]).code(2);
    base.run("watch", &["--list", "--sync"]).code(2);
}

#[test]
fn what_was_before_is_left_out_where_it_is_compacted_away() {
    let etcd = Etcd::start();
    let base = Base { etcd: &etcd, path: "ids".to_owned() };
    let put = |value: &str| {
        let run = Kvadm::new().endpoint(&etcd).args(["put", "-o", "json", "ids/id/5", value]).run();
        run.ok().json()["mod_revision"].as_i64().unwrap()
    };
    let first = put("a");
    let second = put("b");
    etcd.etcdctl_ok(&["compact", &second.to_string()]);
    let run = base.run("watch", &["--rev", &second.to_string(), "--count", "1", "-o", "json"]);
    assert_eq!(run.ok().json(), json!({"event": "modified", "id": "5", "key": "b", "mod_revision": second}));
    let gone = base.run("watch", &["--rev", &first.to_string()]);
    gone.code(4).out_empty().err_has(&format!("the store is compacted up to revision {second}"));
}

#[test]
fn a_watch_that_was_cut_resumes_and_after_a_compaction_syncs() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    let base = Base { etcd: &etcd, path: "ids".to_owned() };
    base.write(&[("id/1", "a"), ("id/2", "b")]);
    let args = ["allocate", "watch", "--base", "ids", "-o", "json"];
    let through = |more: &[&str]| Kvadm::new().endpoint(&proxy.endpoint()).args(args).args(more).spawn();
    let (sync, plain) = (through(&["--sync"]), through(&["--list"]));
    sync.wait_for_stdout("in-sync", SOON);
    plain.wait_for_stdout("list-done", SOON);
    proxy.set(Mode::Refuse);
    proxy.cut();
    sync.wait_for_stderr("the watch is interrupted and will resume", SOON);
    plain.wait_for_stderr("the watch is interrupted and will resume", SOON);
    base.delete("id/2");
    base.write(&[("id/3", "c")]);
    let now = Kvadm::new().endpoint(&etcd).args(["status", "--revision"]).run().ok().stdout_text();
    etcd.etcdctl_ok(&["compact", now.trim()]);
    proxy.set(Mode::Pass);
    sync.wait_for_stdout(r#""event":"deleted""#, SOON);
    let lines = |text: Vec<u8>| String::from_utf8(text).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let told = lines(sync.stdout());
    assert!(told.iter().any(|line| line.contains(r#""event":"created","id":"3","key":"c""#)), "{told:?}");
    assert!(told.contains(&r#"{"event":"deleted","id":"2"}"#.to_owned()), "{told:?}");
    sync.wait_for_stderr("the key of the deleted ID 2 is unknown", SOON);
    let run = plain.wait();
    run.code(4).err_has("are compacted: the store is compacted up to revision");
}
