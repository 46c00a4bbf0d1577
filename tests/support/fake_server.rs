//! A gRPC server on the loopback address that answers with what a test says: for answers that no real etcd gives.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::protobuf::Message;

/// A request as the server sees it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The service and the method, such as `KV/Range`.
    pub method: String,
    /// The first message of the request.
    pub message: Message,
}

/// How the server answers a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These messages, and success.
    Messages(Vec<Message>),
    /// These messages; then the stream stays open and silent.
    Open(Vec<Message>),
    /// These messages, and then the last one again and again, as fast as the client reads.
    Endless(Vec<Message>),
    /// A message of this many bytes, of which this part is sent again and again until the message is full.
    Large(usize, Message),
    /// The first message byte by byte, one each 50 ms.
    Trickle(Message),
    /// A refusal with this gRPC code and text.
    Refusal(u32, String),
}

impl From<Message> for Reply {
    fn from(message: Message) -> Self {
        Self::Messages(vec![message])
    }
}

type Answer = dyn Fn(&Asked) -> Reply + Send + Sync;

/// The server. Dropped, it closes everything.
pub struct FakeServer {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl FakeServer {
    /// Listens on a free port.
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("start a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("listen on a free port");
        let address = listener.local_addr().expect("the port");
        let answer: Arc<Answer> = Arc::new(answer);
        runtime.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, Arc::clone(&answer)));
            }
        });
        Self { address, runtime: Some(runtime) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Ends with the connection; its requests are handled meanwhile.
async fn serve(socket: TcpStream, answer: Arc<Answer>) -> Option<Infallible> {
    socket.set_nodelay(true).ok()?;
    let mut builder = Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(4 << 20);
    let mut connection = builder.handshake::<_, Bytes>(socket).await.ok()?;
    let mut requests = JoinSet::new();
    loop {
        let (request, respond) = connection.accept().await?.ok()?;
        let answer = Arc::clone(&answer);
        requests.spawn(async move {
            let path = request.uri().path().trim_start_matches('/').to_owned();
            let method = path.split_once("pb.").map_or(path.clone(), |(_, method)| method.to_owned());
            let mut body = request.into_body();
            let message = first_message(&mut body).await?;
            reply(respond, answer(&Asked { method, message }), body).await
        });
    }
}

/// The first message of a request's body.
async fn first_message(body: &mut RecvStream) -> Option<Message> {
    let mut bytes = BytesMut::new();
    loop {
        if let Some((head, rest)) = bytes.split_at_checked(5) {
            let length = u32::from_be_bytes(head[1..].try_into().ok()?) as usize;
            if let Some(message) = rest.get(..length) {
                return Some(Message(message.to_vec()));
            }
        }
        let more = body.data().await?.ok()?;
        body.flow_control().release_capacity(more.len()).ok()?;
        bytes.extend_from_slice(&more);
    }
}

/// `body` is held until the answer is complete: dropped, it would end the client's stream.
async fn reply(mut respond: SendResponse<Bytes>, reply: Reply, body: RecvStream) -> Option<()> {
    let response = http::Response::builder().header("content-type", "application/grpc").body(()).ok()?;
    let mut stream = respond.send_response(response, false).ok()?;
    match reply {
        Reply::Messages(messages) => {
            for message in &messages {
                send(&mut stream, framed(message)).await?;
            }
            finish(&mut stream, 0, "")
        }
        Reply::Open(messages) => {
            for message in &messages {
                send(&mut stream, framed(message)).await?;
            }
            // Until the client gives up.
            poll_fn(|context| stream.poll_reset(context)).await.ok()?;
            drop(body);
            None
        }
        Reply::Endless(messages) => {
            for message in &messages {
                send(&mut stream, framed(message)).await?;
            }
            let again = framed(messages.last()?);
            // Several at once, so that the server is not the slower side.
            let again = Bytes::from(again.repeat((64 << 10) / again.len() + 1));
            loop {
                send(&mut stream, again.clone()).await?;
            }
        }
        Reply::Large(length, part) => {
            let mut head = BytesMut::with_capacity(5);
            head.put_u8(0);
            head.put_u32(u32::try_from(length).ok()?);
            send(&mut stream, head.freeze()).await?;
            let part = Bytes::from(part.0);
            let mut left = length;
            while left > 0 {
                let part = part.slice(..part.len().min(left));
                left -= part.len();
                send(&mut stream, part).await?;
            }
            finish(&mut stream, 0, "")
        }
        Reply::Trickle(message) => {
            for byte in framed(&message) {
                send(&mut stream, Bytes::from(vec![byte])).await?;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            finish(&mut stream, 0, "")
        }
        Reply::Refusal(code, text) => finish(&mut stream, code, &text),
    }
}

fn framed(message: &Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(5 + message.0.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.0.len()).expect("a message below 4 GiB"));
    bytes.extend_from_slice(&message.0);
    bytes.freeze()
}

/// Sends as the client reads, so that the server holds nothing back in memory.
async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes) -> Option<()> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = poll_fn(|context| stream.poll_capacity(context)).await?.ok()?;
        stream.send_data(bytes.split_to(room.min(bytes.len())), false).ok()?;
    }
    Some(())
}

fn finish(stream: &mut SendStream<Bytes>, code: u32, text: &str) -> Option<()> {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", code.to_string().parse().ok()?);
    if !text.is_empty() {
        trailers.insert("grpc-message", text.parse().ok()?);
    }
    stream.send_trailers(trailers).ok()
}
