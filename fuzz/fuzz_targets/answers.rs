//! Answers made of the fuzzer's bytes, for every operation of the store. Nothing may panic or hang.
//!
//! The first byte chooses the operation, the second one the request that gets the bytes: as its answer, or as a seed that
//! changes the valid answer. The other requests get valid answers.
#![no_main]
#![allow(dead_code, reason = "the tests use more of the modules than this target")]

#[path = "../../tests/support/answers.rs"]
mod answers;
#[path = "../../tests/support/fake_server.rs"]
mod fake_server;
#[path = "../../tests/support/library.rs"]
mod library;
#[path = "../../tests/support/mutation.rs"]
mod mutation;
#[path = "../../tests/support/protobuf.rs"]
mod protobuf;

use std::sync::{Mutex, OnceLock, PoisonError};

use fake_server::{FakeServer, Reply};
use libfuzzer_sys::fuzz_target;
use mutation::{Random, mutated_reply};
use protobuf::Message;
use tokio::runtime::Runtime;

/// The requests that are left until the one that is answered with the bytes, and the bytes.
static NEXT: Mutex<(u8, Vec<u8>)> = Mutex::new((0, Vec::new()));
static SERVER: OnceLock<(Runtime, FakeServer)> = OnceLock::new();

fn answer(asked: &fake_server::Asked) -> Reply {
    let valid = answers::valid(asked);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let (left, bytes) = &mut *next;
    let turn = *left == 0;
    *left = left.wrapping_sub(1);
    match (turn, &valid) {
        (false, _) => valid,
        (true, _) if bytes.len() == 8 => {
            let seed = bytes.iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte));
            mutated_reply(valid, &mut Random::new(seed))
        }
        (true, Reply::Open(_)) => Reply::Open(vec![Message(bytes.clone())]),
        (true, _) => Message(bytes.clone()).into(),
    }
}

fuzz_target!(|data: &[u8]| {
    let [operation, left, bytes @ ..] = data else { return };
    let (runtime, server) = SERVER.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        (runtime.expect("start a runtime"), FakeServer::start(answer))
    });
    *NEXT.lock().unwrap_or_else(PoisonError::into_inner) = (left % 8, bytes.to_vec());
    runtime.block_on(async {
        let store = library::store(&server.endpoint(), b"");
        let called = library::run(&store, usize::from(*operation));
        tokio::time::timeout(library::LIMIT * 20, called).await.expect("the operation hangs").ok();
    });
});
