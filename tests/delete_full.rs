//! `kvadm delete --prefix --unguarded` in a full store whose etcd refuses every transaction.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::support::answers::{REVISION, header, kv, valid};
use super::support::{FakeServer, Kvadm, Message, Reply, Run};

const FULL: &str = "etcdserver: mvcc: database space exceeded";

/// A full store that refuses transactions. Gives the plain deletions.
fn full_store(plain: impl Fn() -> Reply + Send + Sync + 'static) -> (FakeServer, Arc<Mutex<Vec<Message>>>) {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&sent);
    let server = FakeServer::start(move |asked| match asked.method.as_str() {
        "KV/Txn" => Reply::Refusal(8, FULL.to_owned()),
        "KV/DeleteRange" => {
            noted.lock().unwrap().push(asked.message.clone());
            plain()
        }
        _ => valid(asked),
    });
    (server, sent)
}

/// The answer to a deletion of the keys below /a/, of which the second is newer than the count.
fn deleted() -> Reply {
    let head = Message::new().message(1, &header(REVISION + 2));
    let gone = [kv("/a/1", "one", 11), kv("/a/2", "newer", REVISION + 1), kv("/a/3", "{\"three\": 3}", 13)];
    head.int(2, 3).messages(3, gone).into()
}

fn delete(server: &FakeServer) -> (Run, String) {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("saved");
    let args = ["delete", "--prefix", "/a/", "--yes", "--unguarded", "--save"];
    let run = Kvadm::new().endpoint(&server.endpoint()).args(args).arg(&file).run();
    (run, std::fs::read_to_string(&file).unwrap())
}

#[test]
fn what_was_written_after_the_count_is_saved_once_more() {
    let (server, sent) = full_store(deleted);
    let (run, saved) = delete(&server);
    run.ok().out("3\n").err_has("warning: deleted 1 key written after the count; the values are in the file of --save");
    let record = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        (record["key"].as_str().unwrap().to_owned(), record["value"].as_str().unwrap().to_owned())
    };
    let saved: Vec<(String, String)> = saved.lines().map(record).collect();
    let wanted = [("/a/1", "one"), ("/a/2", "two"), ("/a/3", "{\"three\": 3}"), ("/a/2", "newer")];
    assert_eq!(saved, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].text(1), b"/a/1");
    assert_eq!(sent[0].number(3), 1, "the deleted records are asked for");
}

#[test]
fn a_deletion_without_a_condition_is_sent_once() {
    let (server, sent) = full_store(|| Reply::Refusal(14, "etcdserver: request timed out".to_owned()));
    let (run, saved) = delete(&server);
    run.code(7).out_empty().err_has("request timed out");
    assert_eq!((saved.lines().count(), sent.lock().unwrap().len()), (3, 1));
}
