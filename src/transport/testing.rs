//! Peers, certificates and options for the unit tests of connections. The peers behave like broken, frozen and
//! misconfigured servers.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::transport::endpoint::Endpoint;
use crate::transport::observer::{Notice, Observer, Trace};
use crate::transport::options::{ConnectOptions, DEFAULT_TXN_OPS, Session, TlsFiles};

/// How a simulated network dials a Unix socket.
pub(crate) type SimulatedDial = Box<dyn Fn() -> Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>>;

thread_local! {
    /// The simulated sockets of this thread's test, by their paths.
    static SIMULATED: RefCell<HashMap<PathBuf, SimulatedDial>> = RefCell::default();
}

/// Lets this thread's dials of the Unix socket go to a simulated network.
pub(crate) fn simulate(path: PathBuf, dial: SimulatedDial) {
    SIMULATED.with_borrow_mut(|simulated| simulated.insert(path, dial));
}

/// The dial of a simulated socket; `None` for a real one.
pub(crate) fn dial_simulated(path: &Path) -> Option<Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>> {
    SIMULATED.with_borrow(|simulated| simulated.get(path).map(|dial| dial()))
}

/// An empty SETTINGS frame: the first frame that an HTTP/2 server sends.
pub(crate) const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

pub(crate) fn options(endpoints: &[String], tls: TlsFiles, dial_timeout: Duration) -> ConnectOptions {
    ConnectOptions {
        max_txn_ops: DEFAULT_TXN_OPS,
        endpoints: endpoints.iter().map(|text| Endpoint::parse(text, false).unwrap()).collect(),
        tls,
        discovery: None,
        credentials: None,
        token: None,
        dial_timeout,
        op_timeout: Duration::from_secs(5),
        keepalive_time: Duration::from_secs(10),
        keepalive_timeout: Duration::from_secs(5),
        connect_wait: None,
        namespace: Vec::new(),
        qps: None,
    }
}

/// Collects notices.
#[derive(Default)]
pub(crate) struct Notices(pub(crate) Mutex<Vec<String>>);

impl Observer for Notices {
    fn request(&self, _: &Trace<'_>) {}

    fn notice(&self, _: Notice, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn traces(&self) -> bool {
        false
    }
}

pub(crate) fn session(observer: &Arc<Notices>) -> Session {
    Session { cancel: CancellationToken::new(), deadline: None, observer: Arc::clone(observer) as Arc<dyn Observer> }
}

/// What a peer does with each connection.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Receives bytes and sends nothing.
    Silent,
    /// Sends these bytes, then receives bytes.
    Says(Vec<u8>),
    /// Receives some bytes, then sends these and closes.
    Answers(Vec<u8>),
    /// Sends SETTINGS, waits for a request, then sends these bytes and closes.
    OnRequest(Vec<u8>),
    /// Accepts TLS, sends SETTINGS, then receives bytes.
    Tls(Arc<ServerConfig>),
}

/// Whether a request was sent: a HEADERS frame (type 1) after the client's preface.
pub(crate) fn has_headers_frame(received: &[u8]) -> bool {
    let Some(mut rest) = received.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice()) else { return false };
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
        if *kind == 1 {
            return true;
        }
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        rest = payload.get(length..).unwrap_or_default();
    }
    false
}

/// A listener on a free port; it stops when dropped.
pub(crate) struct Peer {
    pub(crate) port: u16,
    /// The bytes received on each accepted connection.
    pub(crate) received: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl Peer {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::start_at("127.0.0.1", manner).await
    }

    pub(crate) async fn start_at(host: &str, manner: Manner) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = Arc::clone(&received);
        let task = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let place = {
                    let mut all = all.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                serving.spawn(serve(stream, manner.clone(), Arc::clone(&all), place));
            }
        });
        Self { port, received, task }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// All bytes received.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.received.lock().unwrap().concat()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port on which nothing listens.
pub(crate) async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

async fn serve(mut stream: TcpStream, manner: Manner, all: Arc<Mutex<Vec<Vec<u8>>>>, place: usize) {
    match manner {
        Manner::Silent => take(&mut stream, &all, place).await,
        Manner::Says(bytes) => {
            let _ = stream.write_all(&bytes).await;
            take(&mut stream, &all, place).await;
        }
        Manner::Answers(bytes) => {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(&bytes).await;
        }
        Manner::OnRequest(bytes) => {
            let _ = stream.write_all(&SETTINGS).await;
            let mut room = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut room).await {
                let received = &mut all.lock().unwrap()[place];
                received.extend_from_slice(&room[..count]);
                if has_headers_frame(received) {
                    break;
                }
            }
            let _ = stream.write_all(&bytes).await;
        }
        Manner::Tls(config) => {
            if let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await {
                let _ = stream.write_all(&SETTINGS).await;
                let _ = stream.flush().await;
                take(&mut stream, &all, place).await;
            }
        }
    }
}

async fn take<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, all: &Mutex<Vec<Vec<u8>>>, place: usize) {
    let mut room = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut room).await {
        all.lock().unwrap()[place].extend_from_slice(&room[..count]);
    }
}

/// A directory with an authority and the certificates it signs.
pub(crate) struct Pki {
    pub(crate) folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    ca: CertificateDer<'static>,
}

/// A certificate with its key.
pub(crate) struct Pair {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: KeyPair,
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().der().clone();
        let pki = Self { folder: tempfile::tempdir().unwrap(), issuer: Issuer::new(params, key), ca };
        pki.write("ca.crt", &pem("CERTIFICATE", &pki.ca));
        pki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A certificate for these names, which `change` may modify before it is signed.
    pub(crate) fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.sign_key(names, KeyPair::generate().unwrap(), change)
    }

    pub(crate) fn sign_key(&self, names: &[&str], key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Pair { der, key }
    }

    /// TLS files that trust only the authority.
    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles { ca: Some(self.path("ca.crt")), ..TlsFiles::default() }
    }

    /// The same with a client certificate.
    pub(crate) fn files_with(&self, cert: &Path, key: &Path) -> TlsFiles {
        TlsFiles { cert: Some(cert.to_owned()), key: Some(key.to_owned()), ..self.files() }
    }

    /// A server's configuration with this certificate; with `clients` it requires a client certificate of the
    /// authority.
    pub(crate) fn server(&self, pair: &Pair, clients: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = if clients {
            let mut roots = RootCertStore::empty();
            roots.add(self.ca.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![pair.der.clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }

    /// A TLS peer with a valid certificate for 127.0.0.1 and ::1.
    pub(crate) async fn peer(&self, clients: bool) -> Peer {
        let pair = self.sign(&["127.0.0.1", "::1", "localhost"], |_| {});
        Peer::start(Manner::Tls(self.server(&pair, clients))).await
    }
}
