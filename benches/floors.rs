//! Floors: bare gRPC clients that do what a case needs and nothing else, each in a process of its own like kvadm.

use std::sync::Arc;
use std::time::Instant;

use etcd_client::{Channel, Client, Compare, CompareOp, GetOptions, Txn, TxnOp};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;

use crate::cases::{Case, LOADED, Place};
use crate::client::{block_on, connect, flight};
use crate::measure::{self, Cmd};
use crate::shapes::Shape;

/// The bytes of records that one bounded Range asks for: as much as a page of kvadm's listings.
const PAGE_BYTES: usize = 1 << 20;

/// Bounded Ranges at a time: the next one is under way while one is decoded.
const RANGES_IN_FLIGHT: usize = 2;

/// How often the lock of the floor changes hands.
const HANDOFFS: &str = "50";

/// What the floor of a case is, for the report.
pub fn meaning(floor: &Cmd) -> &'static str {
    match floor.argv.get(2).map(String::as_str) {
        Some("range") => "one Range of the same keys, decoded and not printed",
        Some("ranges") => "the least number of Ranges of at most 1 MiB, decoded and not printed",
        Some("load") => "plain transactions of 128 puts",
        Some("get" | "get-tls") => "a bare gRPC client that connects and reads the key",
        Some("handoff") => "a deletion, its watch event and one transaction",
        _ => "a bare gRPC client",
    }
}

/// The cases with the floors of this file.
///
/// # Errors
/// The bounds of the Ranges cannot be computed.
pub fn add(p: &Place<'_>, mut cases: Vec<Case>) -> Result<Vec<Case>, String> {
    for case in &mut cases {
        let one = String::from_utf8_lossy(&Shape::Decimal.key("/k/", p.keys / 2)).into_owned();
        match case.name.as_str() {
            "get" => case.floor = Some(p.client("get", &[&one])),
            "get over TLS" => case.floor = Some(p.client_at(&p.tls, "get-tls", &[&p.file("tls.pem"), "k"])),
            name if name.starts_with("lock: handoff") => {
                case.floor = Some(p.client("handoff", &["/bench/floor", HANDOFFS]));
            }
            _ => {}
        }
        let listed = |floor: &Cmd| match &floor.argv[..] {
            [_, _, what, _, prefix] if what == "range" => {
                LOADED.iter().find(|(loaded, _)| loaded == prefix).map(|(prefix, shape)| (*prefix, *shape))
            }
            _ => None,
        };
        if let Some((prefix, shape)) = case.floor.as_ref().and_then(listed) {
            let file = p.file(&format!("bounds-{shape}"));
            let bounds = crate::cases::cmd(&[&p.own, "client", "bounds", &file, prefix, &p.keys.to_string(), shape]);
            measure::run(&bounds, p.work)?;
            case.bounded = Some(p.client("ranges", &[&file]));
        }
    }
    Ok(cases)
}

/// The parts of this file and of [`crate::scale`], in processes of their own.
///
/// # Errors
/// The part fails, or is not known.
pub fn run(args: &[&str]) -> Result<(), String> {
    let number = |text: &str| text.parse().map_err(|_| format!("{text}: not a number"));
    match *args {
        ["get", endpoint, key] => {
            block_on(async { connect(endpoint).await?.get(key, None).await.map(drop).map_err(|e| e.to_string()) })
        }
        ["get-tls", endpoint, ca, key] => block_on(get_over_tls(endpoint, ca, key)),
        ["bounds", file, prefix, keys, shape] => bounds(file, prefix, number(keys)?, Shape::of(shape)?),
        ["ranges", endpoint, file] => block_on(ranges(endpoint, file)),
        ["handoff", endpoint, key, turns] => block_on(handoff(endpoint, key, number(turns)?)),
        _ => crate::scale::part(args),
    }
}

async fn get_over_tls(endpoint: &str, ca: &str, key: &str) -> Result<(), String> {
    let told = |e: &dyn std::fmt::Display| format!("{endpoint}: {e}");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).map_err(|e| told(&e))?).map_err(|e| told(&e))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| told(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (tls, address) = (tokio_rustls::TlsConnector::from(Arc::new(config)), endpoint.to_owned());
    let dial = tower::service_fn(move |_| {
        let (tls, address) = (tls.clone(), address.clone());
        async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("127.0.0.1").map_err(std::io::Error::other)?;
            tls.connect(name, stream).await.map(TokioIo::new)
        }
    });
    let channel = Endpoint::from_shared(format!("http://{endpoint}"))
        .map_err(|e| told(&e))?
        .connect_with_connector(dial)
        .await
        .map_err(|e| told(&e))?;
    let client = Client::from_channel(Channel::Tonic(channel), None).await.map_err(|e| told(&e))?;
    client.kv_client().get(key, None).await.map(drop).map_err(|e| told(&e))
}

/// Writes where the Ranges of a set begin and end, so that none has more than [`PAGE_BYTES`]: one hexadecimal key a line.
fn bounds(file: &str, prefix: &str, keys: u64, shape: Shape) -> Result<(), String> {
    let mut all: Vec<(Vec<u8>, usize)> = (0..keys).map(|n| (shape.key(prefix, n), shape.value(n).len())).collect();
    all.sort_unstable();
    let mut bounds = vec![prefix.as_bytes().to_vec()];
    let mut page = 0;
    for (key, value) in all {
        // What the fields of a record take besides key and value.
        let record = key.len() + value + 24;
        if page + record > PAGE_BYTES {
            page = 0;
            bounds.push(key);
        }
        page += record;
    }
    // The prefixes end with a slash; the next byte is the end of their range.
    bounds.push([&prefix.as_bytes()[..prefix.len() - 1], b"0"].concat());
    let hex = |key: &Vec<u8>| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    std::fs::write(file, bounds.iter().map(hex).collect::<String>()).map_err(|e| format!("{file}: {e}"))
}

async fn ranges(endpoint: &str, file: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
    let byte = |line: &str, at: usize| line.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let key = |line: &str| (0..line.len()).step_by(2).map(|at| byte(line, at)).collect::<Option<Vec<u8>>>();
    let bounds: Vec<Vec<u8>> = text.lines().map(key).collect::<Option<_>>().ok_or("not a file of bounds")?;
    let client = connect(endpoint).await?;
    let jobs = bounds.windows(2).map(|pair| {
        let (from, to, mut client) = (pair[0].clone(), pair[1].clone(), client.clone());
        async move {
            let options = GetOptions::new().with_range(to);
            client.get(from, Some(options)).await.map(drop).map_err(|e| e.to_string())
        }
    });
    flight(jobs, RANGES_IN_FLIGHT).await
}

/// Two clients, of which one deletes a key and the other one waits for that and writes it again; prints how long each
/// handoff takes, in milliseconds.
async fn handoff(endpoint: &str, key: &str, turns: u64) -> Result<(), String> {
    let told = |e: etcd_client::Error| e.to_string();
    let channel = || async {
        let endpoint =
            Endpoint::from_shared(format!("http://{endpoint}")).map_err(|e| e.to_string())?.tcp_nodelay(true);
        Client::from_channel(Channel::Tonic(endpoint.connect_lazy()), None).await.map_err(told)
    };
    let (holder, waiter) = (channel().await?, channel().await?);
    let (mut holder, mut next) = (holder.kv_client(), waiter.kv_client());
    holder.put(key, "x", None).await.map_err(told)?;
    let mut events = waiter.watch_client().watch(key, None).await.map_err(told)?;
    for _ in 0..turns {
        let start = Instant::now();
        let release = holder.delete(key, None);
        let deleted = async {
            while let Some(answer) = events.message().await.map_err(told)? {
                if answer.events().iter().any(|event| event.event_type() == etcd_client::EventType::Delete) {
                    return Ok(());
                }
            }
            Err("the watch ended".to_owned())
        };
        let (released, deleted) = tokio::join!(release, deleted);
        released.map_err(told)?;
        deleted?;
        let free = Compare::create_revision(key, CompareOp::Equal, 0);
        let take = Txn::new().when([free]).and_then([TxnOp::put(key, "x", None)]);
        if !next.txn(take).await.map_err(told)?.succeeded() {
            return Err("somebody else took the lock".to_owned());
        }
        println!("{:.3}", start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}
