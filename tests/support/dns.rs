//! A small DNS server on the loopback address, which serves SRV records over UDP and TCP, or misbehaves.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Priority, weight, port and target.
pub type Srv = (u16, u16, u16, String);

/// What the server does with a question.
#[derive(Clone, Debug)]
pub enum DnsAnswer {
    /// These records; over UDP truncated if they are more than 512 bytes.
    Records(Vec<Srv>),
    /// No record, with this response code: 0 is NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    Code(u8),
    /// Nothing.
    Silence,
    /// Bytes that are no DNS message, behind the right ID.
    Garbage,
    /// The records under another ID.
    WrongId(Vec<Srv>),
    /// An alias that leads to an alias that leads back.
    CnameLoop,
    /// An alias for this name and, if given, the records of that name.
    Alias(String, Option<Vec<Srv>>),
    /// A record whose target is these bytes, as one label.
    RawTarget(Vec<u8>),
}

/// The server. It stops when it is dropped.
pub struct Dns {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Dns {
    /// Serves these names, without trailing dots; every other name is NXDOMAIN.
    pub fn start(names: impl IntoIterator<Item = (&'static str, DnsAnswer)>) -> Self {
        let names: HashMap<String, DnsAnswer> =
            names.into_iter().map(|(name, answer)| (name.to_owned(), answer)).collect();
        Self::with(move |name| names.get(name).cloned().unwrap_or(DnsAnswer::Code(3)))
    }

    /// Answers as the function says.
    pub fn with(answer: impl Fn(&str) -> DnsAnswer + Send + Sync + 'static) -> Self {
        let (udp, tcp) = sockets();
        let address = udp.local_addr().unwrap();
        let (asked, stopped) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let answer = Arc::new(answer);
        let reply = {
            let asked = Arc::clone(&asked);
            Arc::new(move |query: &[u8], by: &str| {
                let name = name_of(query)?;
                asked.lock().unwrap().push(format!("{by} {name}"));
                reply(query, &name, &answer(&name.to_ascii_lowercase()), by == "udp")
            })
        };
        let (by_udp, ended) = (Arc::clone(&reply), Arc::clone(&stopped));
        udp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let first = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !ended.load(Ordering::Relaxed) {
                let Ok((count, peer)) = udp.recv_from(&mut buffer) else { continue };
                if let Some(bytes) = by_udp(&buffer[..count], "udp") {
                    let _ = udp.send_to(&bytes, peer);
                }
            }
        });
        let ended = Arc::clone(&stopped);
        let second = std::thread::spawn(move || {
            for stream in tcp.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let mut length = [0; 2];
                if stream.read_exact(&mut length).is_err() {
                    continue;
                }
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                if stream.read_exact(&mut query).is_err() {
                    continue;
                }
                if let Some(bytes) = reply(&query, "tcp") {
                    let mut framed = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
                    framed.extend(bytes);
                    let _ = stream.write_all(&framed);
                }
            }
        });
        Self { address, asked, stopped, threads: vec![first, second] }
    }

    /// The address, as errors name it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The protocol and the name of each question, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A resolv.conf in this folder that names the server.
    pub fn resolv_conf(&self, folder: &Path) -> PathBuf {
        let path = folder.join(format!("resolv-{}.conf", self.address.port()));
        std::fs::write(&path, self.line()).unwrap();
        path
    }

    /// The line of a resolv.conf that names the server.
    pub fn line(&self) -> String {
        format!("nameserver [{}]:{}\n", self.address.ip(), self.address.port())
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A port that is free for both protocols.
fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

/// The name that the query asks for.
fn name_of(query: &[u8]) -> Option<String> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            return Some(labels.join("."));
        }
        labels.push(String::from_utf8_lossy(query.get(at + 1..at + 1 + length)?).into_owned());
        at += 1 + length;
    }
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A record of the asked name.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc0, 0x0c];
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 60]);
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

fn srv_data((priority, weight, port, _): &Srv, target: &[u8]) -> Vec<u8> {
    let numbers = [*priority, *weight, *port].map(u16::to_be_bytes).concat();
    [&numbers, target].concat()
}

fn reply(query: &[u8], name: &str, answer: &DnsAnswer, is_udp: bool) -> Option<Vec<u8>> {
    let question_end = 12 + wire_name(name).len() + 4;
    let question = query.get(12..question_end)?;
    let message = |id: &[u8], code: u8, truncated: bool, records: &[Vec<u8>]| {
        let mut bytes = id.to_vec();
        bytes.extend([0x81 | if truncated { 0x02 } else { 0 }, 0x80 | code, 0, 1]);
        bytes.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
        bytes.extend([0, 0, 0, 0]);
        bytes.extend(question);
        bytes.extend(records.concat());
        bytes
    };
    let id = &query[..2];
    let encoded = |records: &[Srv]| -> Vec<Vec<u8>> {
        records.iter().map(|srv| record(33, &srv_data(srv, &wire_name(&srv.3)))).collect()
    };
    Some(match answer {
        DnsAnswer::Silence => return None,
        DnsAnswer::Code(code) => message(id, *code, false, &[]),
        DnsAnswer::Garbage => [id, &[0xff; 40]].concat(),
        DnsAnswer::WrongId(records) => message(&[!id[0], !id[1]], 0, false, &encoded(records)),
        DnsAnswer::CnameLoop => {
            let looped = format!("loop.{name}");
            let other = name.strip_prefix("loop.").unwrap_or(&looped);
            message(id, 0, false, &[record(5, &wire_name(other))])
        }
        DnsAnswer::Alias(other, records) => {
            let owned = records.iter().flatten().map(|srv| {
                let rest = record(33, &srv_data(srv, &wire_name(&srv.3)));
                [wire_name(other), rest[2..].to_vec()].concat()
            });
            let all: Vec<Vec<u8>> = std::iter::once(record(5, &wire_name(other))).chain(owned).collect();
            message(id, 0, false, &all)
        }
        DnsAnswer::RawTarget(label) => {
            let target = [&[u8::try_from(label.len()).unwrap()], label.as_slice(), &[0]].concat();
            message(id, 0, false, &[record(33, &srv_data(&(0, 0, 2379, String::new()), &target))])
        }
        DnsAnswer::Records(records) => {
            let whole = message(id, 0, false, &encoded(records));
            if is_udp && whole.len() > 512 { message(id, 0, true, &[]) } else { whole }
        }
    })
}
