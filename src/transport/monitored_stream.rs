//! The byte stream of an HTTP/2 connection; it records whether the peer speaks HTTP/2, and how the stream ended.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::transport::frame_walk::{FRAME_HEADER, FrameWalk, SETTINGS};

/// A connected stream: TCP, TLS over TCP, or a Unix socket.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The state of a connection's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// The peer has sent nothing yet.
    Waiting,
    /// The peer speaks HTTP/2: its SETTINGS have arrived.
    Alive,
    /// The stream has ended; see [`ConnectionState::close_reason`].
    Ended,
}

/// How a stream ended.
#[derive(Clone, Debug)]
pub(crate) enum CloseReason {
    /// Closed by the peer, or dropped by this side.
    Closed,
    /// A read or write failed.
    Failed(Arc<io::Error>),
    /// The peer's first bytes are not HTTP/2.
    UnexpectedProtocol(UnexpectedProtocol),
}

/// The protocol that the peer speaks instead of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnexpectedProtocol {
    /// A TLS record.
    Tls,
    /// An HTTP/1 response.
    Http1,
    /// Another protocol.
    Other,
}

/// The state of a connection, shared between the stream and its users.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    peer_state: watch::Sender<PeerState>,
    close_reason: Mutex<Option<CloseReason>>,
    spoke_http2: std::sync::atomic::AtomicBool,
    /// See [`ConnectionState::processed_nothing`].
    processed_nothing: std::sync::atomic::AtomicBool,
}

impl ConnectionState {
    fn new() -> Self {
        Self {
            peer_state: watch::Sender::new(PeerState::Waiting),
            close_reason: Mutex::new(None),
            spoke_http2: false.into(),
            processed_nothing: false.into(),
        }
    }

    pub(crate) fn peer_state(&self) -> PeerState {
        *self.peer_state.borrow()
    }

    /// Whether the peer ever spoke HTTP/2, even if the stream has ended since.
    pub(crate) fn spoke_http2(&self) -> bool {
        self.spoke_http2.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Whether the peer has said that it processed no request of this connection: it has sent a GOAWAY with 0 as the last
    /// stream (RFC 9113, 6.8), and no response.
    pub(crate) fn processed_nothing(&self) -> bool {
        self.processed_nothing.load(std::sync::atomic::Ordering::Acquire)
    }

    /// The first reason recorded, if any.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.lock().clone()
    }

    /// Waits until the peer has spoken HTTP/2 or the stream has ended.
    pub(crate) async fn settled(&self) -> PeerState {
        let mut watch = self.peer_state.subscribe();
        // `self` owns the sender, so waiting cannot fail.
        watch
            .wait_for(|peer_state| *peer_state != PeerState::Waiting)
            .await
            .map_or(PeerState::Ended, |peer_state| *peer_state)
    }

    fn set_alive(&self) {
        self.spoke_http2.store(true, std::sync::atomic::Ordering::Release);
        self.peer_state.send_if_modified(|peer_state| {
            let first = *peer_state == PeerState::Waiting;
            if first {
                *peer_state = PeerState::Alive;
            }
            first
        });
    }

    fn end(&self, close_reason: CloseReason) {
        self.lock().get_or_insert(close_reason);
        self.peer_state.send_replace(PeerState::Ended);
    }

    fn lock(&self) -> MutexGuard<'_, Option<CloseReason>> {
        self.close_reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that reports to a [`ConnectionState`].
pub(crate) struct MonitoredStream {
    stream: Box<dyn Stream>,
    health: Arc<ConnectionState>,
    /// The peer's first bytes; `None` once its protocol is known.
    first: Option<Vec<u8>>,
    frames: FrameWalk,
    /// Bytes read while looking for a TLS alert after a failed write.
    read_ahead: VecDeque<u8>,
    /// The error of a failed write, held back until the TLS alert was read.
    write_error: Option<io::Error>,
}

impl MonitoredStream {
    pub(crate) fn new(stream: Box<dyn Stream>) -> (Self, Arc<ConnectionState>) {
        let health = Arc::new(ConnectionState::new());
        (
            Self {
                stream,
                health: Arc::clone(&health),
                first: Some(Vec::new()),
                frames: FrameWalk::default(),
                read_ahead: VecDeque::new(),
                write_error: None,
            },
            health,
        )
    }

    /// Detects the protocol. A server's first frame is SETTINGS on stream 0 (RFC 9113, 3.4).
    fn detect_protocol(&mut self, bytes: &[u8]) {
        let Some(first) = &mut self.first else { return };
        let missing = FRAME_HEADER.saturating_sub(first.len());
        first.extend(bytes.iter().take(missing));
        let unexpected = match first.as_slice() {
            [0x15 | 0x16, 3, ..] => Some(UnexpectedProtocol::Tls),
            [b'H', b'T', b'T', b'P', b'/', ..] => Some(UnexpectedProtocol::Http1),
            [_, _, _, SETTINGS, _, 0, 0, 0, 0] => None,
            whole if whole.len() == FRAME_HEADER => Some(UnexpectedProtocol::Other),
            _ => return,
        };
        self.first = None;
        match unexpected {
            Some(unexpected) => self.health.end(CloseReason::UnexpectedProtocol(unexpected)),
            None => self.health.set_alive(),
        }
    }

    fn record_result<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| self.record_error(error))
    }

    fn record_error(&self, error: &io::Error) {
        let copy = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => io::Error::new(error.kind(), tls.clone()),
            None => match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            },
        };
        self.health.end(CloseReason::Failed(Arc::new(copy)));
    }

    /// Reads up to a TLS alert. A TLS 1.3 server refuses a client certificate after the handshake, with an alert and a
    /// close. A client that writes then gets a broken pipe, but can still read the alert. The read stays pending only
    /// until the runtime has noticed the end of the stream.
    fn read_alert(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut room = [0_u8; 4096];
        for _ in 0..8 {
            let mut buffer = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.read_ahead.extend(buffer.filled()),
                Err(error) if crate::transport::cause::tls_error(&error).is_some() => {
                    // Recorded here; the caller returns the write's error.
                    self.record_error(&error);
                    break;
                }
                _ => break,
            }
        }
        Poll::Ready(())
    }

    /// Writes with `op`. If that fails, reads up to a TLS alert before returning the error.
    fn poll_write_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        op: impl FnOnce(Pin<&mut Box<dyn Stream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.write_error.is_none() {
            match ready!(op(Pin::new(&mut self.stream), cx)) {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(error) => self.write_error = Some(error),
            }
        }
        self.poll_write_error(cx).map(Err)
    }

    /// The held-back error, after the alert was read.
    fn poll_write_error(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.read_alert(cx));
        let error = self.write_error.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
        self.record_error(&error);
        Poll::Ready(error)
    }
}

impl AsyncRead for MonitoredStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if this.read_ahead.is_empty() {
            let result = ready!(Pin::new(&mut this.stream).poll_read(cx, buffer));
            this.record_result(result)?;
        } else {
            let (front, _) = this.read_ahead.as_slices();
            let count = front.len().min(buffer.remaining());
            buffer.put_slice(front.get(..count).unwrap_or_default());
            this.read_ahead.drain(..count);
        }
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() && buffer.remaining() > 0 {
            this.health.end(CloseReason::Closed);
        }
        this.detect_protocol(fresh);
        if this.frames.take(fresh) {
            this.health.processed_nothing.store(true, std::sync::atomic::Ordering::Release);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MonitoredStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |stream, cx| stream.poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_write_with(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An error of the shutdown is not why the connection ended.
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Drop for MonitoredStream {
    fn drop(&mut self) {
        self.health.end(CloseReason::Closed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A peer that has answered, sent an alert, and closed the stream before this side writes.
    struct Refused(Vec<u8>);

    impl AsyncRead for Refused {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let answer = std::mem::take(&mut self.0);
            if answer.is_empty() {
                let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, alert)));
            }
            buffer.put_slice(&answer);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Refused {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn the_alert_behind_a_failed_write_is_found_and_what_came_before_is_kept() {
        let (mut stream, health) = MonitoredStream::new(Box::new(Refused(b"before".to_vec())));
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let Some(CloseReason::Failed(error)) = health.close_reason() else { panic!("no failure was noted") };
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        assert_eq!(crate::transport::cause::tls_error(&error), Some(&alert));
        let mut room = [0; 16];
        assert_eq!(stream.read(&mut room).await.unwrap(), 6);
        assert_eq!(&room[..6], b"before");
    }

    #[tokio::test]
    async fn a_settings_frame_in_pieces_is_a_sign_of_life() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut stream, health) = MonitoredStream::new(Box::new(near));
        let mut room = [0; 16];
        for byte in [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0] {
            assert_eq!(health.peer_state(), PeerState::Waiting);
            far.write_all(&[byte]).await.unwrap();
            stream.read_exact(&mut room[..1]).await.unwrap();
        }
        assert_eq!((health.peer_state(), health.spoke_http2()), (PeerState::Alive, true));
        drop(far);
        assert_eq!(stream.read(&mut room).await.unwrap(), 0);
        assert!(matches!(health.close_reason(), Some(CloseReason::Closed)));
        assert_eq!((health.peer_state(), health.spoke_http2()), (PeerState::Ended, true));
    }

    #[tokio::test]
    async fn a_flush_reaches_the_stream() {
        let (near, mut far) = tokio::io::duplex(64);
        // Holds back what is written until it is flushed, as TLS does with a record that the socket has no room for.
        let (mut stream, _) = MonitoredStream::new(Box::new(tokio::io::BufWriter::new(near)));
        stream.write_all(b"held").await.unwrap();
        stream.flush().await.unwrap();
        let mut room = [0; 4];
        let read = tokio::time::timeout(std::time::Duration::from_secs(10), far.read_exact(&mut room)).await;
        assert_eq!((read.unwrap().unwrap(), &room), (4, b"held"));
    }
}
