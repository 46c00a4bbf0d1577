//! Real etcd servers on free loopback ports, with their data in a temporary folder.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::binary::{etcdctl, server, version};
use super::certs::{Certs, Pair};
use super::eventually;
use super::process::{Guarded, free_port};
use super::time_limit;

/// How long a server may take until it answers that it is healthy.
const START: Duration = Duration::from_secs(30);

/// How a server is to be started.
#[derive(Clone, Default)]
pub struct Options {
    pub(super) args: Vec<String>,
    tls: Option<Tls>,
    auto_tls: bool,
    unix: bool,
    ipv6: bool,
    pub(super) ports: Option<Ports>,
    pub(super) name: Option<String>,
}

#[derive(Clone)]
struct Tls {
    server: Pair,
    client_ca: Option<PathBuf>,
    /// What etcdctl shows and trusts.
    ca: PathBuf,
    client: Pair,
}

/// Where a member listens on the loopback address.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    client: u16,
    pub(super) peer: u16,
    metrics: u16,
}

impl Ports {
    pub(super) fn free() -> Self {
        Self { client: free_port(), peer: free_port(), metrics: free_port() }
    }
}

impl Options {
    /// One more argument for the server, for example `--quota-backend-bytes=16777216`.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Serves TLS with the good server certificate of `certs`.
    pub fn tls(self, certs: &Certs) -> Self {
        let server = certs.server.clone();
        self.tls_with(certs, &server)
    }

    /// Serves TLS with another certificate of `certs`, for example `certs.expired`.
    pub fn tls_with(mut self, certs: &Certs, server: &Pair) -> Self {
        let (ca, client) = (certs.ca.clone(), certs.client.clone());
        self.tls = Some(Tls { server: server.clone(), client_ca: None, ca, client });
        self
    }

    /// Serves TLS and asks every client for a certificate of `certs.ca`.
    pub fn client_auth(self, certs: &Certs) -> Self {
        let mut options = self.tls(certs);
        options.tls.as_mut().expect("just set").client_ca = Some(certs.ca.clone());
        options
    }

    /// Serves TLS with a certificate that the server makes for itself.
    pub fn auto_tls(mut self) -> Self {
        self.auto_tls = true;
        self
    }

    /// Listens on a Unix socket too: [`Etcd::unix_endpoint`].
    pub fn unix_socket(mut self) -> Self {
        self.unix = true;
        self
    }

    /// Listens on `::1` too: [`Etcd::ipv6_endpoint`].
    pub fn ipv6(mut self) -> Self {
        self.ipv6 = true;
        self
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() || self.auto_tls { "https" } else { "http" }
    }

    /// Starts the server and waits until it is healthy; other ports are tried when one was taken meanwhile.
    #[track_caller]
    pub fn start(&self) -> Etcd {
        for _ in 0..5 {
            let mut etcd = self.launch();
            match etcd.wait_healthy() {
                Ok(()) => return etcd,
                Err(why) if why.contains("address already in use") && self.ports.is_none() => {}
                Err(why) => panic!("{why}"),
            }
        }
        panic!("etcd found its ports taken five times in a row")
    }

    /// Starts the server without waiting for it.
    pub(super) fn launch(&self) -> Etcd {
        time_limit::start();
        let dir = scratch();
        let ports = self.ports.unwrap_or_else(Ports::free);
        let mut process = Guarded::new(dir.path()).expect("start a watchdog");
        spawn(&mut process, self, ports, dir.path());
        Etcd { options: self.clone(), ports, process, dir }
    }
}

/// A running (or stopped) server. Dropped, it is killed and its folder removed.
pub struct Etcd {
    options: Options,
    ports: Ports,
    process: Guarded,
    dir: TempDir,
}

impl Etcd {
    /// One member, plaintext.
    #[track_caller]
    pub fn start() -> Self {
        Self::options().start()
    }

    /// To say what the server should be like.
    pub fn options() -> Options {
        Options::default()
    }

    /// `http://127.0.0.1:PORT`, or `https://…` with TLS.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme(), self.address())
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.client)
    }

    /// `localhost:PORT` with the scheme.
    pub fn localhost_endpoint(&self) -> String {
        format!("{}://localhost:{}", self.scheme(), self.ports.client)
    }

    /// `http://[::1]:PORT`, for a server started with [`Options::ipv6`].
    pub fn ipv6_endpoint(&self) -> String {
        format!("{}://[::1]:{}", self.scheme(), self.ports.client)
    }

    /// `unix:///PATH`, for a server started with [`Options::unix_socket`].
    pub fn unix_endpoint(&self) -> String {
        format!("unix://{}", self.dir.path().join("etcd.sock").display())
    }

    fn scheme(&self) -> &'static str {
        self.options.scheme()
    }

    pub(super) fn ports(&self) -> Ports {
        self.ports
    }

    /// `http://127.0.0.1:PORT` for the other members.
    pub fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.peer)
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid().expect("a running etcd")
    }

    /// The folder with the server's data, log and socket.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Major and minor version of the server binary.
    pub fn version(&self) -> (u32, u32) {
        version()
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        self.process.end(Signal::SIGTERM);
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.process.end(Signal::SIGKILL);
    }

    /// SIGSTOP: the sockets stay open and nothing answers.
    pub fn pause(&self) {
        self.process.signal(Signal::SIGSTOP);
        // Threads that run on other processors go on for a moment after the signal was sent.
        eventually("the server to stand still", Duration::from_secs(5), || stands_still(self.pid()));
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Starts the server again (ending it first if it runs) on the same data and ports, and waits until it is healthy.
    #[track_caller]
    pub fn restart(&mut self) {
        self.relaunch();
        if let Err(why) = self.wait_healthy() {
            panic!("{why}");
        }
    }

    /// As [`Etcd::restart`], without waiting: a member of a cluster without quorum is not healthy alone.
    pub fn relaunch(&mut self) {
        self.stop();
        spawn(&mut self.process, &self.options, self.ports, self.dir.path());
    }

    /// The number of requests of this gRPC method that the server has answered, whatever the answer.
    pub fn answered(&self, method: &str) -> u64 {
        self.requests("grpc_server_handled_total{", method)
    }

    /// The number of requests of this gRPC method that have reached the server.
    pub fn received(&self, method: &str) -> u64 {
        self.requests("grpc_server_started_total{", method)
    }

    fn requests(&self, metric: &str, method: &str) -> u64 {
        let page = http_get(self.ports.metrics, "/metrics").expect("read the server's metrics");
        let label = format!("grpc_method=\"{method}\"");
        let lines = page.lines().filter(|line| line.starts_with(metric) && line.contains(&label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Runs `etcdctl ARGS` against this server.
    pub fn etcdctl<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        self.etcdctl_command(args).output().expect("run etcdctl")
    }

    /// `etcdctl ARGS` for this server, to be started with other streams.
    pub fn etcdctl_command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(etcdctl());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if version() < (3, 6) {
            command.env("ETCDCTL_API", "3");
        }
        command.arg(format!("--endpoints={}", self.endpoint()));
        if let Some(tls) = &self.options.tls {
            let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
            command.args([flag("cacert", &tls.ca), flag("cert", &tls.client.cert), flag("key", &tls.client.key)]);
        }
        command.args(args);
        command
    }

    /// Runs `etcdctl ARGS`, which has to succeed, and gives its standard output.
    #[track_caller]
    pub fn etcdctl_ok<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S]) -> String {
        let output = self.etcdctl(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "etcdctl {args:?}: {}\n{stderr}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The last lines of the server's log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// Waits until the server says that it is healthy: it has a leader and answers. The error holds the log's tail.
    pub(super) fn wait_healthy(&mut self) -> Result<(), String> {
        let end = Instant::now() + START;
        loop {
            if healthy(self.ports.metrics) {
                return Ok(());
            }
            if let Some(status) = self.process.ended() {
                return Err(format!("etcd ended ({status}) before it was healthy; its log:\n{}", self.log_tail()));
            }
            if Instant::now() > end {
                return Err(format!("etcd was not healthy within {START:?}; its log:\n{}", self.log_tail()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        if std::thread::panicking() && self.process.pid().is_some() {
            eprintln!("--- the log of etcd at {}, its end:\n{}\n---", self.endpoint(), self.log_tail());
        }
    }
}

/// `GET /health` on the plaintext metrics address, which a TLS server has too. Alarms do not count: a test that
/// restarts a full server wants it back all the same.
fn healthy(port: u16) -> bool {
    http_get(port, "/health?exclude=NOSPACE&exclude=CORRUPT").is_ok_and(|answer| answer.contains(r#""health":"true""#))
}

fn http_get(port: u16, path: &str) -> std::io::Result<String> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn spawn(process: &mut Guarded, options: &Options, ports: Ports, dir: &Path) {
    let log = File::options().create(true).append(true).open(dir.join("log")).expect("create etcd's log");
    let scheme = options.scheme();
    let client = format!("{scheme}://127.0.0.1:{}", ports.client);
    let mut listen = client.clone();
    if options.ipv6 {
        listen += &format!(",{scheme}://[::1]:{}", ports.client);
    }
    if options.unix {
        // etcd names the socket by host and port, in its working directory; the link gives it a plain name.
        listen += ",unix://kvadm:1";
        std::os::unix::fs::symlink("kvadm:1", dir.join("etcd.sock")).ok();
    }
    let peer = format!("http://127.0.0.1:{}", ports.peer);
    let name = options.name.as_deref().unwrap_or("default");
    let clustered = options.args.iter().any(|arg| arg.starts_with("--initial-cluster="));
    let mut command = Command::new(server());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(dir)
        .arg(format!("--name={name}"))
        .arg(format!("--data-dir={}", dir.join("data").display()))
        .arg(format!("--listen-client-urls={listen}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--listen-metrics-urls=http://127.0.0.1:{}", ports.metrics))
        .stdout(log.try_clone().expect("share etcd's log"))
        .stderr(log);
    if !clustered {
        command.arg(format!("--initial-cluster={name}={peer}"));
        command.args(["--heartbeat-interval=10", "--election-timeout=50"]);
    }
    if version() >= (3, 5) {
        command.arg("--unsafe-no-fsync");
    }
    if options.auto_tls {
        command.arg("--auto-tls");
    }
    if let Some(tls) = &options.tls {
        command.arg(format!("--cert-file={}", tls.server.cert.display()));
        command.arg(format!("--key-file={}", tls.server.key.display()));
        if let Some(ca) = &tls.client_ca {
            command.arg("--client-cert-auth").arg(format!("--trusted-ca-file={}", ca.display()));
        }
    }
    command.args(&options.args);
    process.start(&mut command).unwrap_or_else(|why| panic!("cannot start {}: {why}", server().display()));
}

/// A fresh folder, in memory where the system has such a place.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("kvadm-etcd-");
    builder.tempdir_in(memory).or_else(|_| builder.tempdir()).expect("create a temporary folder")
}

/// One plain server for the whole test process. Tests keep to keys under their own [`unique_prefix`].
pub fn shared() -> &'static Etcd {
    static SHARED: OnceLock<Etcd> = OnceLock::new();
    SHARED.get_or_init(Etcd::start)
}

/// A key prefix that no other test of this process has, ending in `/`.
pub fn unique_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("/t{}/", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether every thread of the process is stopped.
fn stands_still(id: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else { return false };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|state| state.starts_with('T'))
    })
}
