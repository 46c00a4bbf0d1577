//! The least a client can do: the floors, the data, and the neighbour whose writes must not wait.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use etcd_client::{Channel, Client, GetOptions, KvClient, Txn, TxnOp};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::shapes::Shape;

/// The flow control windows of kvadm's own connections, so that the floor is one of the same connection.
const WINDOW: u32 = 8 << 20;

pub fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?.block_on(work)
}

/// What this program does for the benchmark in processes of its own: the first word says what.
pub fn run(args: &[String]) -> Result<(), String> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().map_err(|_| format!("{text}: no number"));
    match args[..] {
        ["range", endpoint, prefix] => block_on(async { range(endpoint, prefix).await.map(drop) }),
        ["first", endpoint, prefix] => block_on(first(endpoint, prefix)),
        ["same", endpoint, prefix] => block_on(same(endpoint, prefix)),
        ["load", endpoint, prefix, keys, shape] => block_on(load(endpoint, prefix, number(keys)?, Shape::of(shape)?)),
        ["puts", endpoint, prefix, keys] => block_on(puts(endpoint, prefix, number(keys)?)),
        ["steady", endpoint, prefix, rate, seconds, batch, least] => {
            let least = number(least)? * number(seconds)?;
            block_on(steady(endpoint, prefix, number(rate)?, number(seconds)?, number(batch)?.max(1), least))
        }
        ["put", endpoint, key] => block_on(put(endpoint, key)),
        ["revision", endpoint] => block_on(revision(endpoint)),
        ["await", endpoint, prefix, keys] => {
            block_on(await_count(endpoint, prefix, number(keys)? as i64, Duration::from_secs(600)))
        }
        ["gone", endpoint, prefix] => block_on(gone(endpoint, prefix)),
        ["neighbour", endpoint] => block_on(neighbour(endpoint)),
        ["far", target] => crate::server::far_away(target),
        ["stamp", file, gate, hold] => stamp(Path::new(file), Path::new(gate), number(hold)?),
        _ => crate::floors::run(&args),
    }
}

/// Connects to `HOST:PORT` with the first request.
pub async fn connect(endpoint: &str) -> Result<KvClient, String> {
    let endpoint = Endpoint::from_shared(format!("http://{endpoint}"))
        .map_err(|e| e.to_string())?
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let client =
        Client::from_channel(Channel::Tonic(endpoint.connect_lazy()), None).await.map_err(|e| e.to_string())?;
    Ok(client.kv_client().max_decoding_message_size(usize::MAX))
}

/// One Range over the whole prefix, decoded and not printed.
async fn range(endpoint: &str, prefix: &str) -> Result<etcd_client::GetResponse, String> {
    let mut client = connect(endpoint).await?;
    client.get(prefix, Some(GetOptions::new().with_prefix())).await.map_err(|e| e.to_string())
}

/// The first page of the prefix: etcd counts all its keys.
async fn first(endpoint: &str, prefix: &str) -> Result<(), String> {
    let options = GetOptions::new().with_prefix().with_limit(100);
    connect(endpoint).await?.get(prefix, Some(options)).await.map(drop).map_err(|e| e.to_string())
}

/// Whether the JSON records on stdin are what one Range over the prefix gives, key by key and byte by byte.
async fn same(endpoint: &str, prefix: &str) -> Result<(), String> {
    let answer = range(endpoint, prefix).await?;
    let mut records = std::io::stdin().lock().lines();
    let bytes = |record: &serde_json::Value, name: &str| match record.get(name).and_then(|text| text.as_str()) {
        Some(text) => Some(text.as_bytes().to_vec()),
        None => {
            let text = record.get(format!("{name}_base64"))?.as_str()?;
            base64::engine::general_purpose::STANDARD.decode(text).ok()
        }
    };
    for kv in answer.kvs() {
        let line = records.next().ok_or("fewer keys than one Range gives")?.map_err(|e| e.to_string())?;
        let record: serde_json::Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
        if bytes(&record, "key").as_deref() != Some(kv.key()) || bytes(&record, "value").as_deref() != Some(kv.value())
        {
            return Err(format!("{line}: not what one Range gives there"));
        }
    }
    match records.next() {
        Some(_) => Err("more keys than one Range gives".to_owned()),
        None => Ok(()),
    }
}

type Landed = Result<Result<(), String>, tokio::task::JoinError>;

/// Runs the jobs, so many at a time.
pub async fn flight<F>(jobs: impl Iterator<Item = F>, width: usize) -> Result<(), String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let landed = |result: Option<Landed>| result.map_or(Ok(()), |joined| joined.map_err(|e| e.to_string())?);
    let mut flying = JoinSet::new();
    for job in jobs {
        if flying.len() == width {
            landed(flying.join_next().await)?;
        }
        flying.spawn(job);
    }
    while !flying.is_empty() {
        landed(flying.join_next().await)?;
    }
    Ok(())
}

/// Puts in transactions of 128, eight in flight.
async fn load(endpoint: &str, prefix: &str, keys: u64, shape: Shape) -> Result<(), String> {
    let client = connect(endpoint).await?;
    let jobs = (0..keys).step_by(128).map(|first| {
        let put = |n| TxnOp::put(shape.key(prefix, n), shape.value(n), None);
        let ops: Vec<_> = (first..keys.min(first + 128)).map(put).collect();
        let mut client = client.clone();
        async move { client.txn(Txn::new().and_then(ops)).await.map(drop).map_err(|e| e.to_string()) }
    });
    flight(jobs, 8).await
}

/// Single puts, 32 in flight: a revision each.
async fn puts(endpoint: &str, prefix: &str, keys: u64) -> Result<(), String> {
    let client = connect(endpoint).await?;
    let jobs = (0..keys).map(|n| {
        let mut client = client.clone();
        let (key, value) = (Shape::Decimal.key(prefix, n), Shape::Decimal.value(n));
        async move { client.put(key, value, None).await.map(drop).map_err(|e| e.to_string()) }
    });
    flight(jobs, 32).await
}

/// Puts distinct keys at a steady rate, in transactions of `batch`; what the store does not take in time is left out. It is
/// an error if fewer than `least` were put.
async fn steady(endpoint: &str, prefix: &str, rate: u64, seconds: u64, batch: u64, least: u64) -> Result<(), String> {
    let (client, start) = (connect(endpoint).await?, Instant::now());
    let (mut flying, mut next) = (JoinSet::new(), 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        let due = start.elapsed().as_millis() as u64 * rate / 1000;
        while next < due && flying.len() < 64 {
            let put = |n| TxnOp::put(Shape::Decimal.key(prefix, n), Shape::Decimal.value(n), None);
            let ops: Vec<_> = (next..next + batch).map(put).collect();
            let mut client = client.clone();
            flying
                .spawn(async move { client.txn(Txn::new().and_then(ops)).await.map(drop).map_err(|e| e.to_string()) });
            next += batch;
        }
        let landed = tokio::time::timeout(Duration::from_millis(1), flying.join_next()).await;
        if let Ok(Some(landed)) = landed {
            landed.map_err(|e| e.to_string())??;
        }
    }
    flight_end(flying).await?;
    if next < least {
        return Err(format!("the store took only {next} events in {seconds} s"));
    }
    eprintln!("{next} events in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

async fn flight_end(mut flying: JoinSet<Result<(), String>>) -> Result<(), String> {
    while let Some(landed) = flying.join_next().await {
        landed.map_err(|e| e.to_string())??;
    }
    Ok(())
}

/// A put every 5 ms, until standard input ends; prints the longest one, in milliseconds. One that fails is put again, and
/// its time goes on.
async fn neighbour(endpoint: &str) -> Result<(), String> {
    let mut client = connect(endpoint).await?;
    let done = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let mut worst = Duration::ZERO;
    while !done.is_finished() {
        let start = Instant::now();
        while let Err(error) = client.put("/neighbour", "x", None).await {
            wait_on(start, error).await?;
        }
        worst = worst.max(start.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("{:.1}", worst.as_secs_f64() * 1e3);
    Ok(())
}

/// What runs under a lock: waits until the gate's file is there, stays so many milliseconds, and appends when it began
/// and when it ended, in nanoseconds.
fn stamp(file: &Path, gate: &Path, hold: u64) -> Result<(), String> {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(|d| d.as_nanos()).unwrap_or_default();
    let start = now();
    while !gate.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(hold));
    let mut file = std::fs::File::options().append(true).create(true).open(file).map_err(|e| e.to_string())?;
    // One write: lines of several processes do not mix.
    file.write_all(format!("{start} {}\n", now()).as_bytes()).map_err(|e| e.to_string())
}

/// Waits until the prefix holds so many keys.
async fn await_count(endpoint: &str, prefix: &str, keys: i64, limit: Duration) -> Result<(), String> {
    let start = Instant::now();
    let mut client = connect(endpoint).await?;
    let options = GetOptions::new().with_prefix().with_count_only();
    while client.get(prefix, Some(options.clone())).await.map_err(|e| e.to_string())?.count() < keys {
        if start.elapsed() > limit {
            return Err(format!("{prefix} did not hold {keys} keys within {limit:?}"));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Waits until no key begins with the prefix.
async fn gone(endpoint: &str, prefix: &str) -> Result<(), String> {
    let start = Instant::now();
    let mut client = connect(endpoint).await?;
    let options = GetOptions::new().with_prefix().with_limit(1).with_keys_only();
    loop {
        match client.get(prefix, Some(options.clone())).await {
            Ok(answer) if answer.kvs().is_empty() => return Ok(()),
            Ok(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(error) => wait_on(start, error).await?,
        }
    }
}

/// A server that is long at work lets requests fail: so long, and it is given up.
async fn wait_on(start: Instant, error: etcd_client::Error) -> Result<(), String> {
    if start.elapsed() > Duration::from_secs(600) {
        return Err(error.to_string());
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(())
}

async fn put(endpoint: &str, key: &str) -> Result<(), String> {
    connect(endpoint).await?.put(key, "x", None).await.map(drop).map_err(|e| e.to_string())
}

/// Prints the store's revision.
async fn revision(endpoint: &str) -> Result<(), String> {
    let answer = connect(endpoint).await?.get("revision", None).await.map_err(|e| e.to_string())?;
    println!("{}", answer.header().map_or(0, etcd_client::ResponseHeader::revision));
    Ok(())
}
