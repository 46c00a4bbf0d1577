//! A gRPC proxy on the loopback address that lets etcd perform a request and then spoils the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Ping, RecvStream, SendStream, client, server};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Large enough that flow control never delays a message of the tests.
const WINDOW_BYTES: u32 = 16 << 20;

/// What the client gets instead of etcd's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// An HTTP error of a load balancer, with an HTML body.
    Http(u16),
    /// etcd's message, and then the end of the stream without trailers.
    NoTrailers,
    /// etcd's message, and trailers without `grpc-status`.
    TrailersWithoutStatus,
    /// `grpc-status: 0` and no message.
    OkWithoutMessage,
    /// A gRPC status whose text is not etcd's.
    Grpc(u8),
    /// A gRPC status with this text, which is one of etcd's.
    Etcd(u8, &'static str),
    /// The connection is cut before the answer.
    CutBefore,
    /// The connection is cut within the message.
    CutWithin,
    /// The connection is cut between the message and the trailers.
    CutAfter,
}

/// Which answers are spoiled.
#[derive(Clone, Debug)]
pub struct Plan {
    pub spoil: Spoil,
    /// The names of the gRPC methods, such as `Put`.
    pub methods: &'static [&'static str],
    /// So many requests of these methods pass first.
    pub skip: u64,
    /// So many are spoiled then.
    pub times: u64,
    /// Whether the endpoint is gone once an answer was spoiled.
    pub then_gone: bool,
}

type Hook = Box<dyn Fn() + Send + Sync>;

struct Inner {
    target: String,
    plan: Plan,
    /// Runs when etcd has performed a request and before its answer is spoiled.
    meanwhile: Option<Hook>,
    seen: AtomicU64,
    gone: CancellationToken,
}

/// The proxy. Dropped, it closes everything.
pub struct Spoiler {
    address: String,
    inner: Arc<Inner>,
    runtime: Option<Runtime>,
}

impl Spoiler {
    /// Listens on a free port in front of `target`, an address such as `127.0.0.1:2379`.
    pub fn start(target: &str, plan: Plan) -> Self {
        Self::launch(target, plan, None)
    }

    /// The same; `meanwhile` runs when etcd has performed a request and before its answer is spoiled.
    pub fn with(target: &str, plan: Plan, meanwhile: impl Fn() + Send + Sync + 'static) -> Self {
        Self::launch(target, plan, Some(Box::new(meanwhile)))
    }

    fn launch(target: &str, plan: Plan, meanwhile: Option<Hook>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let inner = Arc::new(Inner {
            target: target.to_owned(),
            plan,
            meanwhile,
            seen: AtomicU64::new(0),
            gone: CancellationToken::new(),
        });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("listen on a free port");
        let address = listener.local_addr().unwrap().to_string();
        let serving = Arc::clone(&inner);
        runtime.spawn(async move {
            let accept = async {
                while let Ok((socket, _)) = listener.accept().await {
                    let inner = Arc::clone(&serving);
                    tokio::spawn(async move { inner.serve(socket).await.ok() });
                }
            };
            tokio::select! {
                () = accept => {}
                () = serving.gone.cancelled() => {}
            }
        });
        Self { address, inner, runtime: Some(runtime) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of requests of the planned methods so far.
    pub fn seen(&self) -> u64 {
        self.inner.seen.load(Ordering::SeqCst)
    }
}

impl Drop for Spoiler {
    fn drop(&mut self) {
        self.inner.gone.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The control of one connection of a client.
struct Connection {
    cut: CancellationToken,
    /// Sends a ping and waits for its answer: the client has then received all that was sent before.
    flush: tokio::sync::Mutex<h2::PingPong>,
}

impl Inner {
    async fn serve(self: Arc<Self>, socket: TcpStream) -> Result<(), h2::Error> {
        socket.set_nodelay(true).ok();
        let mut builder = server::Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        let mut incoming: server::Connection<_, Bytes> = builder.handshake(socket).await?;
        let flush = tokio::sync::Mutex::new(incoming.ping_pong().expect("the first call"));
        let connection = Arc::new(Connection { cut: CancellationToken::new(), flush });
        let Ok(etcd) = TcpStream::connect(&self.target).await else { return Ok(()) };
        etcd.set_nodelay(true).ok();
        let mut builder = client::Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        let (sender, outgoing) = builder.handshake(etcd).await?;
        let driver = tokio::spawn(outgoing);
        let requests = async {
            while let Some(Ok((request, respond))) = incoming.accept().await {
                let (inner, sender, connection) = (Arc::clone(&self), sender.clone(), Arc::clone(&connection));
                tokio::spawn(async move { inner.forward(request, respond, sender, &connection).await.ok() });
            }
        };
        tokio::select! {
            () = requests => {}
            () = connection.cut.cancelled() => {}
            () = self.gone.cancelled() => {}
        }
        driver.abort();
        Ok(())
    }

    /// Whether this request's answer is to be spoiled.
    fn is_planned(&self, path: &str) -> bool {
        let method = path.rsplit('/').next().unwrap_or_default();
        if !self.plan.methods.contains(&method) {
            return false;
        }
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        (self.plan.skip..self.plan.skip + self.plan.times).contains(&number)
    }

    async fn forward(
        &self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        sender: client::SendRequest<Bytes>,
        connection: &Connection,
    ) -> Result<(), h2::Error> {
        let planned = self.is_planned(request.uri().path());
        // A stream has no end to wait for.
        let streams = request.uri().path().ends_with("/Watch");
        let (head, mut body) = request.into_parts();
        let mut copy = Request::new(());
        *copy.method_mut() = head.method;
        *copy.uri_mut() = head.uri;
        *copy.headers_mut() = head.headers;
        let (answer, mut up) = sender.ready().await?.send_request(copy, false)?;
        let upward = tokio::spawn(async move { pump(&mut body, &mut up).await.ok() });
        let (head, mut body) = answer.await?.into_parts();
        if !planned {
            let ended = body.is_end_stream();
            let mut down = respond.send_response(Response::from_parts(head, ()), ended)?;
            if !ended {
                pump(&mut body, &mut down).await?;
            }
            return Ok(());
        }
        let mut message = Vec::new();
        while !streams && let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            message.extend_from_slice(&chunk);
        }
        upward.abort();
        if let Some(meanwhile) = &self.meanwhile {
            tokio::task::block_in_place(meanwhile);
        }
        self.spoil(message.into(), &mut respond, connection).await?;
        if self.plan.then_gone {
            connection.received().await;
            self.gone.cancel();
        }
        Ok(())
    }

    async fn spoil(
        &self,
        message: Bytes,
        respond: &mut SendResponse<Bytes>,
        connection: &Connection,
    ) -> Result<(), h2::Error> {
        match self.plan.spoil {
            Spoil::Http(code) => {
                let head = Response::builder().status(code).header("content-type", "text/html").body(()).unwrap();
                let page = Bytes::from_static(b"<html><body><h1>an error of the load balancer</h1></body></html>");
                respond.send_response(head, false)?.send_data(page, true)
            }
            Spoil::NoTrailers => respond.send_response(grpc(), false)?.send_data(message, true),
            Spoil::TrailersWithoutStatus => {
                let mut down = respond.send_response(grpc(), false)?;
                down.send_data(message, false)?;
                let mut trailers = HeaderMap::new();
                trailers.insert("x-half", HeaderValue::from_static("1"));
                down.send_trailers(trailers)
            }
            Spoil::OkWithoutMessage => respond.send_response(grpc(), false)?.send_trailers(status(0, "")),
            Spoil::Grpc(code) => {
                respond.send_response(grpc(), false)?.send_trailers(status(code, "the proxy lost its way"))
            }
            Spoil::Etcd(code, text) => respond.send_response(grpc(), false)?.send_trailers(status(code, text)),
            Spoil::CutBefore => {
                connection.cut.cancel();
                Ok(())
            }
            Spoil::CutWithin | Spoil::CutAfter => {
                let mut down = respond.send_response(grpc(), false)?;
                let sent = if self.plan.spoil == Spoil::CutWithin { message.len() / 2 } else { message.len() };
                down.send_data(message.slice(..sent), false)?;
                connection.received().await;
                connection.cut.cancel();
                Ok(())
            }
        }
    }
}

impl Connection {
    async fn received(&self) {
        self.flush.lock().await.ping(Ping::opaque()).await.ok();
    }
}

fn grpc() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

fn status(code: u8, text: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    trailers.insert("grpc-message", HeaderValue::from_str(text).unwrap());
    trailers
}

async fn pump(from: &mut RecvStream, to: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    while let Some(chunk) = from.data().await {
        let chunk = chunk?;
        from.flow_control().release_capacity(chunk.len())?;
        to.send_data(chunk, false)?;
    }
    match from.trailers().await? {
        Some(trailers) => to.send_trailers(trailers),
        None => to.send_data(Bytes::new(), true),
    }
}
