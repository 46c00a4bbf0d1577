//! A server that says, by HTTP/2's own means, that it did not process a request: the request is not done, and is sent
//! again; its outcome is never unknown. The server is a fake: etcd says so only while it shuts down.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::{Kvadm, shared, unique_prefix};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
}

/// Answers the first request of a connection with this frame and closes it; `None` once the client has gone.
fn refuse(mut socket: TcpStream, answer: impl Fn(u32) -> Vec<u8>) -> Option<()> {
    socket.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).ok()?;
    socket.write_all(&frame(SETTINGS, 0, &[])).ok()?;
    loop {
        let mut header = [0; 9];
        socket.read_exact(&mut header).ok()?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        socket.read_exact(&mut payload).ok()?;
        if header[3] == HEADERS {
            let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
            socket.write_all(&answer(stream)).ok()?;
            // The client reads the answer before it sees the end.
            socket.shutdown(std::net::Shutdown::Write).ok()?;
            std::io::copy(&mut socket, &mut std::io::sink()).ok()?;
            return Some(());
        }
    }
}

/// Refuses the first request of every connection; counts them.
fn refusing(answer: fn(u32) -> Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || {
                refuse(socket, |stream| {
                    count.fetch_add(1, Ordering::SeqCst);
                    answer(stream)
                })
            });
        }
    });
    (address, refused)
}

fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

/// The first connection asks the peer for its cluster only if it is not the first of the command.
const PROCESSED_NOTHING: [fn(u32) -> Vec<u8>; 2] =
    [|_| goaway(0), |stream| frame(RST_STREAM, stream, &7_u32.to_be_bytes())];

#[test]
fn a_write_that_was_not_processed_goes_to_the_next_endpoint() {
    for answer in PROCESSED_NOTHING {
        let (address, refused) = refusing(answer);
        let key = format!("{}a", unique_prefix());
        let list = format!("{address},{}", shared().address());
        // Not sent again if its outcome were unknown: creating, plain, deleting.
        let run = Kvadm::new().endpoint(&list).args(["put", &key, "x", "--create", "-v"]).run();
        run.ok().err_has("put: ").err_has("retrying");
        Kvadm::new().endpoint(&list).args(["put", &key, "y"]).run().ok();
        Kvadm::new().endpoint(&list).args(["delete", &key]).run().ok().out("1\n");
        assert!(refused.load(Ordering::SeqCst) >= 3);
    }
}

#[test]
fn a_write_that_was_never_processed_is_not_done() {
    for answer in PROCESSED_NOTHING {
        let (address, refused) = refusing(answer);
        let run = Kvadm::new().endpoint(&address).args(["--op-timeout", "300ms", "put", "/a", "x"]).run();
        run.code(3).out_empty().err_has(&address).err_lacks("unknown whether").err_lacks("application logic");
        assert!(refused.load(Ordering::SeqCst) >= 2);
    }
}

#[test]
fn a_write_that_may_have_been_processed_is_unknown() {
    // The request's stream is within what the server has processed; another code promises nothing.
    let answers: [fn(u32) -> Vec<u8>; 2] = [goaway, |stream| frame(RST_STREAM, stream, &2_u32.to_be_bytes())];
    for answer in answers {
        let (address, refused) = refusing(answer);
        let list = format!("{address},{}", shared().address());
        let key = format!("{}a", unique_prefix());
        let run = Kvadm::new().endpoint(&list).args(["put", &key, "x"]).run();
        run.code(7).out_empty().err_has("unknown whether etcd applied it").err_has(&address);
        assert_eq!(refused.load(Ordering::SeqCst), 1);
        assert_eq!(shared().etcdctl_ok(&["get", &key]), "", "it was not sent again");
    }
}
