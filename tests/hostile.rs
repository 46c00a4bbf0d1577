//! Answers that no etcd gives: each ends with 4 and says what was wrong, in bounded time and memory, without a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::answers::{LEASE, REVISION, header, kv, range, valid};
use super::support::{Asked, FakeServer, Kvadm, Message, Reply, Run};

/// A server that gives `spoiled` where there is one, and valid answers otherwise.
fn server(spoiled: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> FakeServer {
    FakeServer::start(move |asked| spoiled(asked).unwrap_or_else(|| valid(asked)))
}

/// A server that answers this method so.
fn answering(method: &'static str, reply: impl Fn(&Message) -> Reply + Send + Sync + 'static) -> FakeServer {
    server(move |asked| (asked.method == method).then(|| reply(&asked.message)))
}

fn kvadm(server: &FakeServer, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(&server.endpoint()).args(args).timeout(Duration::from_secs(20))
}

fn run(server: &FakeServer, args: &[&str]) -> Run {
    kvadm(server, args).run()
}

fn head() -> Message {
    Message::new().message(1, &header(REVISION))
}

#[test]
fn valid_answers_are_accepted() {
    let server = server(|_| None);
    run(&server, &["get", "/a/1"]).ok().out_has("one");
    run(&server, &["list", "/a/"]).ok().out_has("/a/3");
    run(&server, &["put", "/a/1", "new"]).ok();
    run(&server, &["delete", "--prefix", "/a/", "--yes"]).ok();
    run(&server, &["lock", "--list"]).ok().out_has("/lock");
    run(&server, &["lease", "list"]).ok().out_has(&format!("{LEASE:x}"));
    run(&server, &["watch", "/a/", "--count", "2"]).ok().out_has("/a/");
    run(&server, &["status"]).ok().out_has("3.5.30");
}

#[test]
fn an_alarm_of_an_unknown_type_is_shown_by_its_number() {
    for (number, shown) in [(1, "NOSPACE"), (2, "CORRUPT"), (3, "alarm 3"), (-1, "alarm -1"), (i64::MIN, "alarm 0")] {
        let alarm = Message::new().int(1, 0xa1).int(2, number);
        let server = answering("Maintenance/Alarm", move |_| head().message(2, &alarm).into());
        let shown = if number == i64::MIN { "NONE" } else { shown };
        run(&server, &["status", "-o", "json"]).out_has(shown);
        run(&server, &["status", "--diagnose"]).out_has(shown);
        let _ = run(&server, &["compact", "--disarm", "--yes"]);
    }
}

#[test]
fn an_alarm_of_an_unknown_type_and_an_unknown_member_is_shown_too() {
    let alarm = Message::new().int(1, 0xbb).int(2, 7);
    let server = answering("Maintenance/Alarm", move |_| head().message(2, &alarm).into());
    run(&server, &["status"]).err_has("member bb has raised alarm 7");
}

#[test]
fn an_event_of_an_unknown_type_ends_the_watch() {
    for kind in [2, -1, 9] {
        let event = Message::new().int(1, kind).message(2, &kv("/a/1", "v", REVISION + 1));
        let events = Message::new().message(1, &header(REVISION + 1)).message(11, &event);
        let created = head().int(3, 1);
        let server = answering("Watch/Watch", move |_| Reply::Open(vec![created.clone(), events.clone()]));
        run(&server, &["watch", "/a/"])
            .code(4)
            .out_empty()
            .err_has(&format!("etcd's response to 'watch' is invalid: an event has the unknown type {kind}"));
    }
}

/// A contender that waits behind another one, whose key is watched with this event.
fn waiting_contender(event: Message) -> FakeServer {
    server(move |asked| match asked.method.as_str() {
        "KV/Txn" => {
            let own = asked.message.all(2).iter().find_map(|op| op.all(2).pop().map(|put| put.text(1)));
            let queue = |own: &[u8]| [kv("/lock/1f", "", 5), kv(own, "", REVISION)];
            match own {
                // Joins the queue.
                Some(own) => {
                    let [first, _] = queue(&own);
                    let put = Message::new().message(2, &head());
                    let oldest = Message::new().message(1, &range(REVISION, vec![first]));
                    Some(head().int(2, 1).messages(3, [put, oldest]).into())
                }
                None => {
                    let reads: Vec<Message> = asked.message.all(2).iter().map(|op| op.all(1).remove(0)).collect();
                    let read = |read: &Message| {
                        let key = read.text(1);
                        let found =
                            if read.text(2).is_empty() { kv(&key, "", REVISION) } else { kv("/lock/1f", "", 5) };
                        Message::new().message(1, &range(REVISION, vec![found]))
                    };
                    Some(head().int(2, 1).messages(3, reads.iter().map(read)).into())
                }
            }
        }
        "Watch/Watch" => {
            let events = Message::new().message(1, &header(REVISION + 1)).message(11, &event);
            Some(Reply::Open(vec![head().int(3, 1), events]))
        }
        _ => None,
    })
}

#[test]
fn an_event_of_an_unknown_type_does_not_end_a_wait_for_a_lock_by_a_panic() {
    let server = waiting_contender(Message::new().int(1, 9).message(2, &kv("/lock/1f", "", REVISION + 1)));
    run(&server, &["lock", "/lock", "--wait", "1s", "--", "true"]).err_lacks("panicked").out_empty();
}

#[test]
fn a_lease_with_an_absurd_ttl_is_refused() {
    for ttl in [i64::MAX, i64::MIN, -1, 0, 9_000_000_001] {
        let server = answering("Lease/LeaseGrant", move |asked| head().int(2, asked.number(2)).int(3, ttl).into());
        for args in [
            ["lock", "/lock", "--", "true"].as_slice(),
            &["put", "/a/1", "x", "--ttl", "60s"],
            &["put", "/a/1", "x", "--hold"],
            &["lease", "grant", "--ttl", "60s"],
        ] {
            run(&server, args).code(7).out_empty().err_has(&format!("the lease has a TTL of {ttl} s"));
        }
    }
    for (left, granted) in [(i64::MAX, 60), (50, i64::MAX), (50, -1)] {
        let server = answering("Lease/LeaseTimeToLive", move |asked| {
            head().int(2, asked.number(1)).int(3, left).int(4, granted).into()
        });
        let id = format!("{LEASE:x}");
        for args in [["lease", "list"].as_slice(), &["lease", "show", &id], &["lease", "renew", &id]] {
            run(&server, args).code(4).err_has("the lease has a TTL of");
        }
    }
}

/// One key after the other of a page, and more to come.
fn page(kvs: &[(&str, i64)], count: i64, more: bool) -> Message {
    let kvs = kvs.iter().map(|(key, modified)| kv(key, "v", *modified));
    head().messages(2, kvs).int(3, i64::from(more)).int(4, count)
}

/// Answers counts validly, and everything else that reads a range with this page.
fn pages(page: Message) -> FakeServer {
    server(move |asked| {
        let reads = asked.method == "KV/Range" && asked.message.number(9) == 0 && !asked.message.text(2).is_empty();
        reads.then(|| page.clone().into())
    })
}

#[test]
fn records_that_were_not_requested_are_refused() {
    for (page, why) in [
        (page(&[("/a/1", 5)], 100, true), "key '/a/1'"),
        (page(&[("/a/1", 5), ("/a/1", 5)], 2, false), "key '/a/1' follows key '/a/1'"),
        (page(&[("/a/2", 5), ("/a/1", 5)], 2, false), "key '/a/1' follows key '/a/2'"),
        (page(&[("/b", 5)], 1, false), "key '/b' was not requested"),
        (page(&[("", 5)], 1, false), "key '' was not requested"),
        (page(&[("/a/1", 0)], 1, false), "key '/a/1' is from revision 0"),
        (page(&[], 5, false), "it counts 5 keys and has 0"),
        (page(&[("/a/1", 5)], 5, false), "it counts 5 keys and has 1"),
        (page(&[], 5, true), "it announces more keys after 0 of them"),
        (page(&[], -1, false), "it counts -1 keys"),
    ] {
        let server = pages(page);
        for args in [
            ["list", "/a/"].as_slice(),
            &["list", "/a/", "--rev", "40"],
            &["list", "/a/", "--limit", "50"],
            &["list", "/a/", "--tree"],
            &["lock", "--list", "/a/"],
            &["watch", "/a/", "--list"],
            &["gc", "locks", "/a/"],
        ] {
            run(&server, args).code(4).err_has("etcd's response to 'list' is invalid: ").err_has(why);
        }
        // Some keys may be deleted before the page that is refused.
        let deletion = run(&server, &["delete", "--prefix", "/a/", "--yes"]);
        deletion.err_has("etcd's response to 'list' is invalid: ").err_has(why);
        assert!(matches!(deletion.code, Some(4 | 6)), "{deletion:?}");
    }
}

#[test]
fn a_record_that_is_newer_than_the_store_is_refused() {
    for args in [["get", "/a/1"].as_slice(), &["list", "/a/"]] {
        let server = answering("KV/Range", |_| range(REVISION, vec![kv("/a/1", "v", REVISION + 1)]).into());
        run(&server, args).code(4).out_empty().err_has(&format!("key '/a/1' is from revision {}", REVISION + 1));
    }
}

#[test]
fn a_range_that_grows_for_ever_ends_at_the_number_of_its_keys() {
    let next = std::sync::atomic::AtomicI64::new(0);
    let server = answering("KV/Range", move |asked| {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let key = [asked.text(1), format!("{number:019}").into_bytes()].concat();
        page(&[], 20, true).message(2, &kv(key, "v", 5)).into()
    });
    run(&server, &["list", "/a/"]).code(4).err_has("the range has more than the 20 keys counted");
}

/// As from members whose data differs: the first page counts a key that the next member does not have.
#[test]
fn a_range_with_fewer_keys_than_counted_is_incomplete() {
    let server = answering("KV/Range", |asked| match asked.text(1) {
        first if first == b"/a/" => page(&[("/a/1", 5), ("/a/2", 5)], 3, true).into(),
        _ => page(&[], 0, false).into(),
    });
    let run = run(&server, &["list", "/a/", "--keys-only"]);
    run.code(4).out("/a/1\n/a/2\n").err_has("2 of the 3 keys counted at revision ").err_has("--consistency");
}

#[test]
fn a_single_key_is_the_one_that_was_requested() {
    for (answer, why) in [
        (page(&[], 5, false), "it counts 5 keys and has 0"),
        (page(&[("/a/2", 5)], 1, false), "key '/a/2' was not requested"),
        (page(&[("/a/1", 5), ("/a/1", 5)], 2, false), "key '/a/1' follows key '/a/1'"),
        (page(&[("/a/1", 5)], 1, true), "it announces more keys"),
        (page(&[("/a/1", 39)], 1, false), "key '/a/1' is from revision 39"),
    ] {
        let server = answering("KV/Range", move |_| answer.clone().into());
        run(&server, &["get", "/a/1", "--rev", "38"])
            .code(4)
            .out_empty()
            .err_has("etcd's response to 'get' is invalid: ")
            .err_has(why);
    }
}

#[test]
fn a_history_goes_back_with_each_step() {
    // Always the same change, as if it had been made after the revision that is read.
    let server = answering("KV/Range", |_| head().message(2, &kv("/a/1", "v", 30).int(4, 9)).int(4, 1).into());
    run(&server, &["get", "/a/1", "--history=1000"]).code(4).err_has("key '/a/1' is from revision 30");
    // The first revision has nothing before it, although the version says so.
    let server = answering("KV/Range", |_| head().message(2, &kv("/a/1", "v", 1).int(4, 9)).int(4, 1).into());
    run(&server, &["get", "/a/1", "--history=1000", "--deadline", "5s"]).err_lacks("panicked").within(SOON);
}

#[test]
fn a_transaction_has_one_result_for_each_operation() {
    let put = || Message::new().message(2, &head());
    let read = |kvs| Message::new().message(1, &range(REVISION, kvs));
    for (results, why) in [
        (vec![], "it has 0 results for 1 operations"),
        (vec![put(), put()], "it has 2 results for 1 operations"),
        (vec![read(vec![])], "an operation has the result of another kind of operation"),
        (vec![Message::new()], "an operation has no result"),
    ] {
        let answer = head().int(2, 1).messages(3, results);
        let server = answering("KV/Txn", move |_| answer.clone().into());
        run(&server, &["put", "/a/1", "v", "--create"])
            .code(7)
            .out_empty()
            .err_has("'put' was sent, but it is unknown whether etcd applied it")
            .err_has(&format!("etcd's response to 'put' is invalid: {why}"));
    }
    // Reads change nothing.
    for (results, why) in [
        (vec![read(vec![])], "it has 1 results for 2 operations"),
        (vec![read(vec![]), put()], "an operation has the result of another kind of operation"),
        (vec![read(vec![]), read(vec![kv("/a/1", "v", 5)])], "key '/a/1' was not requested"),
    ] {
        let answer = head().int(2, 1).messages(3, results);
        let server = answering("KV/Txn", move |_| answer.clone().into());
        run(&server, &["get", "/a/1", "/a/2"]).code(4).out_empty().err_has(why);
    }
}

#[test]
fn a_lock_is_not_taken_without_the_queue() {
    let put = || Message::new().message(2, &head());
    let deletion = || Message::new().message(3, &head().int(2, 1));
    let read = || Message::new().message(1, &range(REVISION, vec![]));
    let own = || Message::new().message(1, &range(REVISION, vec![kv("/free/1f", "", REVISION)]));
    for (succeeded, results) in [
        (1, vec![]),
        (1, vec![put()]),
        (1, vec![put(), deletion()]),
        (1, vec![read(), read()]),
        (1, vec![put(), read(), read()]),
        (0, vec![own()]),
        (0, vec![put(), read()]),
        (0, vec![own(), put()]),
    ] {
        let answer = head().int(2, succeeded).messages(3, results);
        let server = answering("KV/Txn", move |_| answer.clone().into());
        let run = run(&server, &["lock", "/free", "--ttl", "4s", "--wait", "2s", "--", "echo", "runs"]);
        run.code(7).out_empty().err_has("is invalid: its results are not those of its operations");
    }
}

/// bcrypt makes a login slow on purpose.
#[test]
fn a_login_that_is_slower_than_a_keep_alive_waits_is_not_begun_again() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&logins);
    // A login takes 2 s, a keep-alive with a TTL of 5 s waits for 0.83 s.
    let token = head().bytes(2, "a token that takes its time");
    let server = server(move |asked| match asked.method.as_str() {
        "Auth/Authenticate" => {
            counted.fetch_add(1, Ordering::SeqCst);
            Some(Reply::Trickle(token.clone()))
        }
        "Lease/LeaseKeepAlive" if counted.load(Ordering::SeqCst) < 2 => {
            Some(Reply::Refusal(16, "etcdserver: invalid auth token".to_owned()))
        }
        "Watch/Watch" => Some(Reply::Open(vec![Message::new().message(1, &header(REVISION + 1)).int(3, 1)])),
        "KV/Range" => Some(range(REVISION + 1, vec![kv("/a/9", "x", REVISION + 1)]).into()),
        _ => None,
    });
    let held = kvadm(&server, &["put", "/a/9", "x", "--hold", "--user", "app", "--", "sh", "-c", "sleep 8; echo held"]);
    held.env("KVADM_PASSWORD", "app-pw").run().ok().out_has("held");
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

/// The password was changed since the login, and etcd does not know the token any more.
#[test]
fn a_watch_whose_new_login_is_refused_ends() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&logins);
    let server = server(move |asked| match asked.method.as_str() {
        "Auth/Authenticate" if counted.fetch_add(1, Ordering::SeqCst) > 0 => {
            Some(Reply::Refusal(3, "etcdserver: authentication failed, invalid user ID or password".to_owned()))
        }
        "Watch/Watch" => Some(Reply::Refusal(16, "etcdserver: invalid auth token".to_owned())),
        _ => None,
    });
    let watch = kvadm(&server, &["watch", "/a/", "--user", "app"]).env("KVADM_PASSWORD", "app-pw");
    watch.run().code(4).out_empty().err_has("authentication failed, invalid user ID or password");
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

#[test]
fn a_deletion_deletes_at_most_what_was_named() {
    for (deleted, why) in [(2, "it counts 2 deleted keys"), (-1, "it counts -1 deleted keys")] {
        let server = answering("KV/DeleteRange", move |_| head().int(2, deleted).into());
        run(&server, &["delete", "/a/1"]).code(7).out_empty().err_has(why);
    }
}

#[test]
fn an_answer_about_another_lease_is_refused() {
    let other = || head().int(2, 0x77).int(3, 60);
    let id = format!("{LEASE:x}");
    let why = format!("it is about lease 77, not lease {id}");
    let server_of = |method| answering(method, move |_| other().into());
    run(&server_of("Lease/LeaseTimeToLive"), &["lease", "show", &id]).code(4).out_empty().err_has(&why);
    run(&server_of("Lease/LeaseKeepAlive"), &["lease", "renew", &id]).code(4).err_has(&why);
    let server = server_of("Lease/LeaseGrant");
    run(&server, &["lease", "grant", "--ttl", "60s"]).code(7).out_empty().err_has("it is about lease 77, not lease ");
    run(&server, &["lock", "/lock", "--", "true"]).code(7).err_has("it is about lease 77, not lease ");
}

#[test]
fn an_answer_without_a_header_is_refused() {
    let bare = |method| answering(method, |_| Message::new().int(4, 0).into());
    let why = "is invalid: it has no header";
    for args in [["get", "/a/1"].as_slice(), &["list", "/a/"], &["delete", "--prefix", "/a/", "--yes"]] {
        run(&bare("KV/Range"), args).code(4).out_empty().err_has(why);
    }
    run(&bare("KV/Txn"), &["get", "/a/1", "/a/2"]).code(4).err_has(why);
    run(&bare("KV/Txn"), &["put", "/a/1", "v", "--create"]).code(7).err_has(why);
    run(&bare("KV/DeleteRange"), &["delete", "/a/1"]).code(7).err_has(why);
    run(&bare("Lease/LeaseLeases"), &["lease", "list"]).code(4).err_has(why);
    run(&bare("Lease/LeaseTimeToLive"), &["lease", "show", "1f"]).code(4).err_has(why);
    let watch = answering("Watch/Watch", |_| Reply::Open(vec![Message::new().int(3, 1)]));
    run(&watch, &["watch", "/a/"]).code(4).err_has(why);
    // Its IDs may be 0, as from grpc-proxy and kine.
    let zeros = answering("KV/Range", |asked| {
        let header = Message::new().int(3, REVISION);
        Message::new().message(1, &header).message(2, &kv(asked.text(1), "v", 5)).int(4, 1).into()
    });
    run(&zeros, &["get", "/a/1"]).ok().out_has("v");
}

const SOON: Duration = Duration::from_secs(10);

/// A watch on `/a/` that gets these messages after it was created.
fn watched(messages: Vec<Message>, reply: impl Fn(Vec<Message>) -> Reply + Send + Sync + 'static) -> FakeServer {
    let messages: Vec<Message> = std::iter::once(head().int(3, 1)).chain(messages).collect();
    answering("Watch/Watch", move |_| reply(messages.clone()))
}

fn events(events: &[(&str, i64)]) -> Message {
    let event = |(key, modified): &(&str, i64)| Message::new().message(2, &kv(key, "v", *modified));
    Message::new().message(1, &header(REVISION + 9)).messages(11, events.iter().map(event))
}

#[test]
fn events_that_were_not_requested_end_the_watch() {
    for (message, why) in [
        (events(&[("/b", 41)]), "key '/b' is not watched"),
        (events(&[("", 41)]), "key '' is not watched"),
        (events(&[("/a/1", 42), ("/a/2", 41)]), "an event of revision 41 follows revision 42"),
        (events(&[("/a/1", -1)]), "key '/a/1' is from revision -1"),
        (Message::new().message(1, &header(41)).message(11, &Message::new()), "an event has no key"),
        (head().int(4, 1).int(5, 3), "revision 3 is compacted, but the watch had already reached 41"),
    ] {
        let server = watched(vec![message], Reply::Open);
        run(&server, &["watch", "/a/"])
            .code(4)
            .out_empty()
            .err_has("etcd's response to 'watch' is invalid: ")
            .err_has(why);
    }
    let server = answering("Watch/Watch", |_| Reply::Open(vec![events(&[("/a/1", 41)])]));
    run(&server, &["watch", "/a/"]).code(4).out_empty().err_has("the first message does not create the watch");
}

#[test]
fn revisions_that_no_store_has_are_refused() {
    for revision in [i64::MAX, i64::MAX - 1, i64::MIN, -1] {
        let why = format!("revision {revision}");
        let progress = Message::new().message(1, &header(revision));
        for message in [events(&[("/a/1", revision)]), progress, head().int(4, 1).int(5, revision)] {
            let server = watched(vec![message], Reply::Open);
            run(&server, &["watch", "/a/"]).code(4).out_empty().err_has(&why);
        }
        let server = answering("KV/Range", move |asked| range(revision, vec![kv(asked.text(1), "v", 5)]).into());
        run(&server, &["get", "/a/1"]).code(4).out_empty().err_has(&why);
        run(&server, &["status", "--revision"]).code(4).out_empty().err_has(&why);
        let server = answering("KV/Txn", move |_| Message::new().message(1, &header(revision)).int(2, 1).into());
        run(&server, &["lock", "/lock", "--", "true"]).code(7).err_has(&why);
        let record = kv("/a/1", "v", 5).int(2, revision);
        let server = answering("KV/Range", move |_| range(REVISION, vec![record.clone()]).into());
        run(&server, &["get", "/a/1"]).code(4).out_empty().err_has(&format!("was created in {revision}"));
    }
}

#[test]
fn a_revision_that_never_ends_holds_neither_memory_nor_time() {
    let endless = |value: usize| {
        let record = kv("/a/1", vec![b'v'; value], 41);
        let fragment = Message::new().message(1, &header(41)).int(7, 1);
        let event = Message::new().message(2, &record);
        watched(vec![fragment.messages(11, vec![event; (1 << 20) / value])], Reply::Endless)
    };
    for value in [1 << 10, 1 << 20] {
        let server = endless(value);
        let bounded = kvadm(&server, &["watch", "/a/"]).memory(600 << 20).run();
        bounded
            .code(4)
            .out_empty()
            .err_has("the changes of revision 41 exceed 256 MiB, kvadm's limit for one revision");
    }
    // Empty fragments need no memory.
    let empty = || watched(vec![Message::new().message(1, &header(41)).int(7, 1)], Reply::Endless);
    run(&empty(), &["watch", "/a/", "--timeout", "1s"]).code(1).within(SOON);
    run(&empty(), &["watch", "/a/", "--deadline", "1s"]).code(3).within(SOON);
    // Events that the watch has returned before are dropped.
    let old = || watched(vec![events(&[("/a/1", 3)])], Reply::Endless);
    run(&old(), &["watch", "/a/", "--timeout", "1s"]).code(1).within(SOON);
    run(&old(), &["watch", "/a/", "--deadline", "1s"]).code(3).within(SOON);
}

#[test]
fn a_huge_answer_is_refused_before_it_is_read() {
    let record = kv("/a/1", vec![b'v'; 1 << 20], 5);
    let part = Message::new().message(1, &header(REVISION)).message(2, &record);
    let server = answering("KV/Range", move |_| Reply::Large(1 << 30, part.clone()));
    for args in [["get", "/a/1"].as_slice(), &["list", "/a/"], &["list", "/a/", "--limit", "1"], &["count", "/a/"]] {
        let args = if args[0] == "count" { &["list", "/a/", "--count"] } else { args };
        let refused = kvadm(&server, args).arg("--op-timeout").arg("3s").memory(600 << 20).run();
        refused.code(4).out_empty().err_has("decoded message length too large").within(SOON);
    }
}

#[test]
fn an_answer_that_never_ends_holds_no_time() {
    // The unknown field makes it long enough to take more time than there is.
    let answer = || page(&[("/a/1", 5)], 1, false).bytes(99, [0; 500]);
    for args in [["get", "/a/1"].as_slice(), &["list", "/a/", "--limit", "1"]] {
        // A second message of an answer that has one, again and again.
        let server = answering("KV/Range", move |_| Reply::Endless(vec![answer()]));
        run(&server, &[args, &["--op-timeout", "500ms"]].concat()).code(3).within(SOON);
        let server = answering("KV/Range", move |_| Reply::Endless(vec![answer()]));
        run(&server, &[args, &["--deadline", "1s"]].concat()).code(3).within(SOON);
        let server = answering("KV/Range", move |_| Reply::Trickle(answer()));
        run(&server, &[args, &["--op-timeout", "500ms", "--deadline", "3s"]].concat()).code(3).within(SOON);
    }
}
