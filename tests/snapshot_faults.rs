//! `snapshot save` when something goes wrong: no file under the name, bounded time, and words that say what it was.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::snapshot_save::names;
use super::support::answers::{REVISION, SNAPSHOT, snapshot_chunk as chunk, snapshot_chunks as chunks, valid};
use super::support::{Etcd, FakeServer, Kvadm, Message, Mode, Proxy, Reply, Run, eventually, shared};

fn server(reply: Reply) -> FakeServer {
    FakeServer::start(move |asked| match asked.method.as_str() {
        "Maintenance/Snapshot" => reply.clone(),
        _ => valid(asked),
    })
}

fn save(server: &FakeServer, folder: &TempDir, args: &[&str]) -> Kvadm {
    let kvadm = Kvadm::new().endpoint(&server.endpoint()).folder(folder.path());
    kvadm.args(["--op-timeout", "300ms", "snapshot", "save", "a.db"]).args(args)
}

/// Saves what a server replies, and checks that no file is left if that fails.
fn saved(reply: Reply) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let run = save(&server(reply), &folder, &[]).run();
    match run.code {
        Some(0) => assert_eq!(fs::read(folder.path().join("a.db")).unwrap(), SNAPSHOT),
        _ => assert_eq!(names(&folder), [""; 0]),
    }
    run
}

#[test]
fn a_valid_stream_is_saved_and_what_follows_it_is_not_read() {
    saved(Reply::Messages(chunks(SNAPSHOT))).ok();
    saved(Reply::Open(chunks(SNAPSHOT))).ok().within(Duration::from_secs(5));
    saved(Reply::Endless(chunks(SNAPSHOT))).ok().within(Duration::from_secs(5));
}

/// Any message may hold the SHA-256, or a part of it: the last 32 bytes of the stream are the SHA-256.
#[test]
fn the_sha256_may_come_with_the_database_or_in_pieces() {
    let (database, digest) = SNAPSHOT.split_at(SNAPSHOT.len() - 32);
    let (first, last) = database.split_at(8192);
    let announced = i64::try_from(last.len()).unwrap();
    let with_digest = [last, digest].concat();
    let pieces: Vec<Message> = digest.chunks(1).map(|byte| chunk(byte, 0)).collect();
    let split = [vec![chunk(first, announced), chunk(last, 0)], pieces].concat();
    saved(Reply::Messages(split.clone())).ok();
    saved(Reply::Messages(vec![chunk(first, announced), chunk(&with_digest, 0)])).ok();
    saved(Reply::Messages(vec![chunk(first, announced + 32), chunk(&with_digest, 0)])).ok();
    saved(Reply::Messages(vec![chunk(SNAPSHOT, 0)])).ok();
    let run = saved(Reply::Messages(split[..split.len() - 1].to_vec()));
    run.code(3).err_has("the snapshot ended after 31 of the 32 bytes of its SHA-256");
}

/// The HTTP/2 library gives up a connection with too many tiny frames, depending on how fast they come: that is kvadm's doing.
#[test]
fn messages_of_one_byte_are_accepted_or_the_server_is_not_said_to_have_gone() {
    let (database, digest) = SNAPSHOT.split_at(SNAPSHOT.len() - 32);
    let bytes = database.iter().rev().enumerate().rev();
    let mut messages: Vec<Message> = bytes.map(|(left, byte)| chunk(&[*byte], i64::try_from(left).unwrap())).collect();
    messages.push(chunk(digest, 0));
    let run = saved(Reply::Messages(messages));
    if run.code != Some(0) {
        run.code(3)
            .err_has("kvadm has closed it, because the server sent too many HTTP/2 frames")
            .err_lacks("by the server");
    }
}

/// A member without a leader may have old data: the next endpoint is better, if it has one.
#[test]
fn a_member_with_a_leader_is_preferred() {
    let member = |has_leader: bool| {
        FakeServer::start(move |asked| match (asked.method.as_str(), has_leader, valid(asked)) {
            ("Maintenance/Snapshot", _, _) => Reply::Messages(chunks(SNAPSHOT)),
            ("Maintenance/Status", false, Reply::Messages(answers)) => answers[0].clone().int(4, 0).into(),
            (_, _, reply) => reply,
        })
    };
    let (alone, led) = (member(false), member(true));
    let save = |endpoints: String| {
        let kvadm = Kvadm::new().endpoint(&endpoints).args(["--dial-timeout", "2s"]);
        kvadm.args(["snapshot", "save", "-", "-o", "json"]).run()
    };
    let run = save(format!("{},{}", alone.endpoint(), led.endpoint()));
    assert_eq!(run.ok().err_json()["endpoint"], led.endpoint().as_str());
    let run = save(alone.endpoint());
    run.ok().out_bytes(SNAPSHOT).err_has(&alone.endpoint()).err_has("has no leader: the newest writes may be missing");
}

#[test]
fn a_member_that_lags_is_reported() {
    let member = |id: i64, revision: i64| {
        FakeServer::start(move |asked| match (asked.method.as_str(), valid(asked)) {
            ("Maintenance/Status", Reply::Messages(answers)) => {
                let header = Message::new().int(1, 0xc1).int(2, id).int(3, revision).int(4, 2);
                answers[0].clone().message(1, &header).into()
            }
            (_, reply) => reply,
        })
    };
    let (lagging, leading) = (member(0xa1, REVISION), member(0xa2, REVISION + 5));
    let endpoints = format!("{},{}", lagging.endpoint(), leading.endpoint());
    let save = |args: &[&str]| Kvadm::new().endpoint(&endpoints).args(["snapshot", "save", "-"]).args(args).run();
    let run = save(&["-o", "json"]);
    run.ok().out_bytes(SNAPSHOT).err_has("\"behind\":5");
    let warning = format!("warning: {} is 5 revisions behind the most advanced reachable member", lagging.endpoint());
    run.err_has(&warning).err_has("choose another member with --endpoints");
    save(&["-q"]).ok().err_empty();
}

#[test]
fn a_stream_that_ends_early_is_no_snapshot() {
    let all = chunks(SNAPSHOT);
    let total = SNAPSHOT.len() - 32;
    for (count, cause) in [
        (0, "the member sent no snapshot".to_owned()),
        (1, format!("the snapshot ended after 8192 of {total} bytes")),
        (all.len() - 1, "the snapshot ended before its SHA-256".to_owned()),
    ] {
        let run = saved(Reply::Messages(all[..count].to_vec()));
        run.code(3).out_empty().err_has(&cause).err_has("hint: a.db was not saved");
    }
}

#[test]
fn a_flipped_bit_is_found() {
    let database = SNAPSHOT.len() - 32;
    for at in [0, 4096, database - 1, database, database + 31] {
        let mut bytes = SNAPSHOT.to_vec();
        bytes[at] ^= 0x10;
        let run = saved(Reply::Messages(chunks(&bytes)));
        run.code(4).out_empty().err_has("error: the snapshot is damaged").err_has("the SHA-256 of the database is ");
        run.err_has("hint: try another member: kvadm --endpoints ");
    }
}

#[test]
fn a_flipped_bit_on_the_way_to_stdout_is_reported() {
    let mut bytes = SNAPSHOT.to_vec();
    bytes[5000] ^= 1;
    let server = server(Reply::Messages(chunks(&bytes)));
    let run = Kvadm::new().endpoint(&server.endpoint()).args(["snapshot", "save", "-"]).run();
    run.code(4).out_bytes(&bytes).err_has("error: the snapshot is damaged").err_has("hint: discard what was written");
}

/// Bytes that the member has hashed, but no database.
#[test]
fn what_is_no_database_of_etcd_is_not_saved() {
    let of = |database: &[u8]| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, database);
        saved(Reply::Messages(chunks(&[database, digest.as_ref()].concat())))
    };
    let run = of(&[0; 20_480]);
    run.code(4).out_empty().err_has("error: the snapshot is damaged").err_has("not an etcd database: ");
    run.err_lacks(".part").err_has("hint: try another member: kvadm --endpoints ");
    let (mut database, pages) = (SNAPSHOT[..SNAPSHOT.len() - 32].to_vec(), SNAPSHOT.len() / 4096);
    (2..pages).for_each(|page| database[page * 4096..][..4096].fill(0xff));
    of(&database).code(4).out_empty().err_has("error: the snapshot is damaged").err_lacks(".part");
}

#[test]
fn streams_without_an_end_and_false_lengths_are_refused() {
    let first = chunk(&[7; 4096], 8192);
    let again = |next: Message| Reply::Endless(vec![first.clone(), next]);
    for (reply, words) in [
        (again(chunk(&[], 8192)), "an empty chunk follows 4,096 bytes"),
        (Reply::Endless(vec![chunk(&[], 0)]), "an empty chunk follows 0 bytes"),
        (Reply::Endless(vec![first.clone()]), "a chunk announces that 8,192 bytes will follow, but 4,096 are expected"),
        (again(chunk(&[7; 8225], 0)), "a chunk has 8,225 bytes of data, but only 8,224 are left"),
        (again(chunk(&[7; 8192], 1)), "a chunk announces that 1 byte will follow, but 0 are expected"),
        (again(chunk(&[7; 8192], 0)), "a chunk has 8,192 bytes of data, but only 32 are left"),
        (Reply::Endless(vec![chunk(&[7; 100], -1)]), "the member announces a database of 18446744073709551715 bytes"),
        (Reply::Endless(vec![chunk(&[7; 100], 1 << 40)]), "kvadm accepts up to 1099511627776"),
    ] {
        let run = saved(reply);
        run.code(4).out_empty().err_has("etcd's response to 'snapshot' is invalid").err_has(words);
        run.err_has("hint: a.db was not saved").within(Duration::from_secs(10));
    }
}

#[test]
fn a_message_that_is_too_large_is_not_read() {
    let reply = Reply::Large(1 << 30, Message(vec![0; 64 << 10]));
    let folder = tempfile::tempdir().unwrap();
    let run = save(&server(reply), &folder, &[]).memory(256 << 20).run();
    run.code(4).out_empty().err_has("the member sent a message of more than 4 MiB, which kvadm does not accept");
    run.err_has("hint: try another member: ").err_lacks("etcd refused").within(Duration::from_secs(10));
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn a_refusal_is_passed_on() {
    saved(Reply::Refusal(12, "unknown method Snapshot for service etcdserverpb.Maintenance".to_owned())).code(4);
    let run = saved(Reply::Refusal(7, "etcdserver: permission denied".to_owned()));
    run.code(4).err_has("hint: a snapshot needs a user with the role root");
    saved(Reply::Refusal(14, "etcdserver: server stopped".to_owned())).code(3);
}

/// The fake member answers health checks: it gets ten times --op-timeout.
#[test]
fn a_silent_stream_ends_in_time() {
    let run = saved(Reply::Open(chunks(SNAPSHOT)[..2].to_vec()));
    run.code(3).out_empty().err_has("no response from ").err_has(" to 'snapshot' within 3s");
    run.err_has("hint: raise --op-timeout").within(Duration::from_secs(10));
}

/// What arrives while kvadm itself is stopped is read when it goes on: the member is not to blame.
#[test]
fn a_command_that_was_stopped_goes_on() {
    let etcd = large();
    let (mut proxy, folder, running) = begin(&etcd, "2s", "a.db");
    running.signal(Signal::SIGSTOP);
    proxy.set(Mode::Pass);
    // Longer than --op-timeout: the length of the stop is what is tested.
    std::thread::sleep(Duration::from_secs(4));
    running.signal(Signal::SIGCONT);
    running.wait().ok();
    assert_eq!(names(&folder), ["a.db"]);
}

/// The folder is moved, or the temporary file removed, while the snapshot is received.
#[test]
fn a_folder_that_is_moved_during_the_save_is_named() {
    let etcd = large();
    for is_moved in [true, false] {
        let (mut proxy, folder, running) = begin(&etcd, "10s", "inner/a.db");
        let inner = folder.path().join("inner");
        if is_moved {
            fs::rename(&inner, folder.path().join("moved")).unwrap();
        } else {
            fs::remove_file(fs::read_dir(&inner).unwrap().next().unwrap().unwrap().path()).unwrap();
        }
        proxy.set(Mode::Pass);
        let run = running.wait();
        run.code(2).out_empty().err_has("error: cannot write inner/a.db: its folder or its temporary file was moved");
        run.err_has("hint: no file was saved");
        assert!(!inner.join("a.db").exists());
    }
}

/// A stream that stands still, with its command, once a part of it has been written.
fn stuck(args: &[&str]) -> (FakeServer, TempDir, super::support::Running) {
    let folder = tempfile::tempdir().unwrap();
    let server = server(Reply::Open(chunks(SNAPSHOT)[..2].to_vec()));
    let running = save(&server, &folder, &["--op-timeout", "20s"]).args(args).spawn();
    eventually("a temporary file", Duration::from_secs(10), || {
        names(&folder).iter().any(|name| name.starts_with(".kvadm-snapshot-") && name.ends_with(".part"))
    });
    (server, folder, running)
}

#[test]
fn signals_and_the_deadline_end_it_and_leave_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (_server, folder, running) = stuck(&[]);
        running.signal(signal);
        let run = running.wait();
        run.signal(signal).out_empty().err_has("interrupted").err_lacks("during").within(Duration::from_secs(10));
        assert_eq!(names(&folder), [""; 0]);
    }
    let (_server, folder, running) = stuck(&["--deadline", "2s"]);
    running.wait().code(3).out_empty().err_has("the deadline passed during 'snapshot'").within(Duration::from_secs(6));
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn a_killed_command_leaves_no_file_under_the_name() {
    let (_server, folder, running) = stuck(&[]);
    running.signal(Signal::SIGKILL);
    let _ = running.wait();
    let left = names(&folder);
    assert!(matches!(&left[..], [name] if name.starts_with(".kvadm-snapshot-") && name.ends_with(".part")), "{left:?}");
}

/// A reader that does not read keeps neither the deadline nor a signal from ending the command.
#[test]
fn a_pipe_that_is_not_read_does_not_hold_the_command() {
    let etcd = large();
    let program = env!("CARGO_BIN_EXE_kvadm");
    let kvadm = format!("{program} --endpoints {} --deadline 2s snapshot save -", etcd.endpoint());
    let script = format!("{{ {kvadm}; echo \"ended with $?\" >&2; }} | sleep 8");
    let running = Kvadm::program("bash").args(["-c", &script]).spawn();
    running.wait_for_stderr("ended with 3\n", Duration::from_secs(7));
    let run = running.wait();
    run.ok().err_has("the deadline passed during 'snapshot'").err_has("hint: discard what was written");
}

/// A server with some megabytes.
fn large() -> Etcd {
    let etcd = Etcd::start();
    for n in 0..40 {
        etcd.etcdctl_ok(&["put", &format!("/large/{n}"), &"v".repeat(100_000)]);
    }
    etcd
}

/// Begins a snapshot through a proxy that stops in the middle of it.
fn half(etcd: &Etcd) -> (Proxy, TempDir, super::support::Running) {
    begin(etcd, "1s", "a.db")
}

/// As [`half`], with this `--op-timeout` and file; the file's folder is created.
fn begin(etcd: &Etcd, timeout: &str, file: &str) -> (Proxy, TempDir, super::support::Running) {
    let folder = tempfile::tempdir().unwrap();
    if let Some((inner, _)) = file.split_once('/') {
        fs::create_dir(folder.path().join(inner)).unwrap();
    }
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::HangAfter(1_000_000));
    let kvadm = Kvadm::new().endpoint(&proxy.endpoint()).folder(folder.path()).args(["--op-timeout", timeout]);
    let running = kvadm.args(["snapshot", "save", file]).spawn();
    eventually("a part of the snapshot", Duration::from_secs(10), || proxy.bytes_down() >= 1_000_000);
    (proxy, folder, running)
}

#[test]
fn a_member_that_goes_in_the_middle_ends_the_snapshot() {
    let mut etcd = large();
    let (proxy, folder, running) = half(&etcd);
    // Silent: no health check is answered either.
    let run = running.wait();
    drop(proxy);
    run.code(3).out_empty().err_has("hint: a.db was not saved").within(Duration::from_secs(15));
    assert_eq!(names(&folder), [""; 0]);
    let (mut proxy, folder, running) = half(&etcd);
    etcd.kill();
    proxy.cut();
    proxy.set(Mode::Pass);
    let run = running.wait();
    run.code(3).out_empty().err_has("error: connection to ").err_has("hint: a.db was not saved");
    assert_eq!(names(&folder), [""; 0]);
}

/// One member's stream is never continued from another one.
#[test]
fn another_member_does_not_continue_the_stream() {
    let etcd = large();
    let (proxy, folder, running) = half(&etcd);
    proxy.retarget(&shared().address());
    proxy.cut();
    running.wait().code(3).out_empty().err_has("hint: a.db was not saved");
    assert_eq!(names(&folder), [""; 0]);
}

/// A folder that may be written to, but not read, cannot be synced. The file is there all the same.
#[test]
fn a_folder_that_cannot_be_read_gets_its_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o733)).unwrap();
    let save = format!("{} --endpoints {} snapshot save a.db", env!("CARGO_BIN_EXE_kvadm"), shared().endpoint());
    // Nothing is forbidden to root.
    let is_root = fs::metadata(folder.path()).unwrap().uid() == 0;
    let user = if is_root { "setpriv --reuid=65534 --clear-groups " } else { "" };
    if user.is_empty() {
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o300)).unwrap();
    }
    let run = Kvadm::program("bash").folder(folder.path()).args(["-c", &format!("exec {user}{save}")]).run();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    run.ok().out_has("file\ta.db\n").err_has("warning: a.db is saved and complete, but its folder could not be synced");
    assert!(fs::read(folder.path().join("a.db")).unwrap().len() > 4096);
}

#[test]
fn the_mode_does_not_depend_on_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let save = format!("{} --endpoints {} snapshot save a.db", env!("CARGO_BIN_EXE_kvadm"), shared().endpoint());
    Kvadm::program("bash").folder(folder.path()).args(["-c", &format!("umask 777; {save}")]).run().ok();
    assert_eq!(fs::metadata(folder.path().join("a.db")).unwrap().permissions().mode() & 0o777, 0o600);
    let run = Kvadm::program("bash").folder(folder.path()).args(["-c", &format!("{save}-2 >/dev/full")]).run();
    run.code(6).err_has("No space left on device").err_has("hint: a.db-2 is saved and complete");
    assert!(fs::read(folder.path().join("a.db-2")).unwrap().len() > 4096);
}
