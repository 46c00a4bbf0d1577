//! A throw-away etcd, and a proxy that makes it far away.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The way to the server and back takes twice as long.
const FAR: Duration = Duration::from_millis(25);

/// A certificate for 127.0.0.1 that is its own CA, and its key: PEM files.
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Tls {
    pub fn new(work: &Path) -> Result<Self, String> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(|e| e.to_string())?;
        let files = Self { cert: work.join("tls.pem"), key: work.join("tls.key") };
        for (file, text) in [(&files.cert, made.cert.pem()), (&files.key, made.signing_key.serialize_pem())] {
            std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        }
        Ok(files)
    }
}

/// An etcd on free loopback ports. Dropped, it is ended.
pub struct Server {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub endpoint: String,
}

impl Server {
    /// Starts `folder/etcd` with its data in `work/name` and waits until it takes connections.
    pub fn start(folder: &Path, work: &Path, name: &str, tls: Option<&Tls>) -> Result<Self, String> {
        Self::start_with(folder, work, name, tls, &[])
    }

    /// The same, with more options of etcd, which win over the ones that are always there.
    pub fn start_with(
        folder: &Path,
        work: &Path,
        name: &str,
        tls: Option<&Tls>,
        options: &[String],
    ) -> Result<Self, String> {
        let peer = free_port().map_err(|e| e.to_string())?;
        let initial = format!("{name}=http://127.0.0.1:{peer}");
        Self::start_member(folder, work, name, tls, (peer, &initial), options)
    }

    /// Starts three members of one cluster.
    pub fn start_three(folder: &Path, work: &Path) -> Result<Vec<Self>, String> {
        let mut peers = Vec::new();
        for member in 1..=3 {
            peers.push((format!("member-{member}"), free_port().map_err(|e| e.to_string())?));
        }
        let url = |(name, peer): &(String, u16)| format!("{name}=http://127.0.0.1:{peer}");
        let initial = peers.iter().map(url).collect::<Vec<_>>().join(",");
        peers.iter().map(|(name, peer)| Self::start_member(folder, work, name, None, (*peer, &initial), &[])).collect()
    }

    /// `peer` is the member's port for its peers, and the value of `--initial-cluster`.
    fn start_member(
        folder: &Path,
        work: &Path,
        name: &str,
        tls: Option<&Tls>,
        (peer, initial): (u16, &str),
        options: &[String],
    ) -> Result<Self, String> {
        let told = |e: std::io::Error| format!("etcd in {}: {e}", folder.display());
        let client = free_port().map_err(told)?;
        let endpoint = format!("127.0.0.1:{client}");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut command = Command::new(folder.join("etcd"));
        if let Some(files) = tls {
            command.arg("--cert-file").arg(&files.cert).arg("--key-file").arg(&files.key);
        }
        let child = command
            .arg(format!("--name={name}"))
            .arg("--data-dir")
            .arg(work.join(name))
            .arg(format!("--listen-client-urls={scheme}://{endpoint}"))
            .arg(format!("--advertise-client-urls={scheme}://{endpoint}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer}"))
            .arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"))
            .arg(format!("--initial-cluster={initial}"))
            .args(["--quota-backend-bytes=8589934592", "--snapshot-count=100000", "--log-level=error"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(work.join(format!("{name}.log"))).map_err(told)?)
            .spawn()
            .map_err(told)?;
        let server = Self { child, endpoint };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&server.endpoint).is_err() {
            if Instant::now() > deadline {
                return Err("etcd did not start within 30 s".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// The peak of the server's resident memory so far, MiB.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? / 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The way to a server with a delay, a process of its own. Dropped, it is ended.
pub struct FarAway {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub endpoint: String,
}

impl FarAway {
    /// Starts this program as the proxy.
    pub fn start(target: &str) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = Command::new(own);
        command.args(["client", "far", target]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("the delaying proxy: {e}"))?;
        let mut endpoint = String::new();
        let read = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut endpoint));
        let proxy = Self { child, endpoint: endpoint.trim().to_owned() };
        match read {
            Some(Ok(1..)) => Ok(proxy),
            _ => Err("the delaying proxy did not start".to_owned()),
        }
    }
}

impl Drop for FarAway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints an address and passes connections there on to `target`, each direction later by [`FAR`], until it is ended.
pub fn far_away(target: &str) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    println!("{}", listener.local_addr().map_err(|e| e.to_string())?);
    for near in listener.incoming().flatten() {
        let Ok(far) = TcpStream::connect(target) else { continue };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        if let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) {
            pass(near, far, FAR);
            pass(far_too, near_too, FAR);
        }
    }
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::sync_channel::<(Instant, Vec<u8>)>(4096);
    std::thread::spawn(move || {
        for (due, bytes) in receiver {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
}
