//! Members that lag behind: what they answer is older than what kvadm knows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::support::answers::{REVISION, header, kv, range, valid};
use super::support::{Etcd, FakeServer, Kvadm, Message, Plan, Reply, Spoil, Spoiler};

/// A page is read at the revision of the first one, which a member may not have reached.
#[test]
fn a_page_that_a_lagging_member_does_not_have_yet_is_requested_again() {
    let etcd = Etcd::start();
    let records: String = (0..300).map(|n| format!("{{\"key\":\"/k/{n:03}\",\"value\":\"v\"}}\n")).collect();
    Kvadm::new().endpoint(&etcd).args(["put", "--from", "-"]).stdin(records).run().ok();
    let future = Spoil::Etcd(11, "etcdserver: mvcc: required revision is a future revision");
    let plan = Plan { spoil: future, methods: &["Range"], skip: 1, times: 1, then_gone: false };
    let spoiler = Spoiler::start(&etcd.address(), plan);
    let run = Kvadm::new().endpoint(&spoiler.endpoint()).args(["list", "/k/", "-v"]).run();
    run.ok().err_has("required revision is a future revision; retrying");
    assert_eq!(run.stdout_text().lines().count(), 300);
    assert!(spoiler.seen() > 2);
    // The revision that the user names may not exist at all.
    let plan = Plan { spoil: future, methods: &["Range"], skip: 0, times: 1, then_gone: false };
    let spoiler = Spoiler::start(&etcd.address(), plan);
    let run = Kvadm::new().endpoint(&spoiler.endpoint()).args(["get", "/k/000", "--rev", "2"]).run();
    run.code(4).out_empty().err_has("required revision is a future revision");
    assert_eq!(spoiler.seen(), 1);
}

/// A lock whose first contender goes away at once, in front of kvadm, and the keys of its queue as a member shows them: after
/// the deletion, a member that answers without the others has seen neither key yet.
fn queue_of_a_lagging_member() -> (FakeServer, Arc<AtomicUsize>) {
    let other = "/lock/1f";
    let own = Mutex::new(Vec::new());
    let (asked_all, asked_one) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let lagging = Arc::clone(&asked_one);
    let server = FakeServer::start(move |asked| match asked.method.as_str() {
        "KV/Txn" => {
            *own.lock().unwrap() = asked.message.all(2)[0].all(2)[0].text(1);
            let put = Message::new().message(2, &Message::new().message(1, &header(REVISION)));
            let oldest = Message::new().message(1, &range(REVISION, vec![kv(other, "", 5)]));
            Message::new().message(1, &header(REVISION)).int(2, 1).messages(3, [put, oldest]).into()
        }
        "KV/Range" => {
            let own = kv(own.lock().unwrap().as_slice(), "", REVISION);
            let (is_range, serializable) = (!asked.message.text(2).is_empty(), asked.message.number(7) == 1);
            match (is_range, serializable) {
                (true, true) => {
                    lagging.fetch_add(1, Ordering::SeqCst);
                    range(REVISION - 1, vec![]).into()
                }
                (true, false) if asked_all.fetch_add(1, Ordering::SeqCst) == 0 => {
                    range(REVISION, vec![own, kv(other, "", 5)]).into()
                }
                _ => range(REVISION + 1, vec![own]).into(),
            }
        }
        "Watch/Watch" => {
            let deleted = Message::new().int(1, 1).message(2, &kv(other, "", REVISION + 1));
            let created = Message::new().message(1, &header(REVISION)).int(3, 1);
            let events = Message::new().message(1, &header(REVISION + 1)).message(11, &deleted);
            let is_other = asked.message.all(1)[0].text(1) == other.as_bytes();
            Reply::Open(if is_other { vec![created, events] } else { vec![created] })
        }
        _ => valid(asked),
    });
    (server, asked_one)
}

#[test]
fn a_contender_is_not_lost_on_a_member_that_has_not_seen_its_key() {
    let (server, lagging) = queue_of_a_lagging_member();
    let run = Kvadm::new().endpoint(&server.endpoint()).args(["lock", "/lock", "--", "echo", "held"]).run();
    run.ok().out("held\n");
    assert_eq!(lagging.load(Ordering::SeqCst), 1, "the member was read, and not believed");
}
