//! The body of a response: the streams of watches and leases can break long after the call succeeded.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::transport::failure::TransportFailure;

/// A body yields after this many frames (16 KiB each). A body that always has the next frame would otherwise keep the
/// reader's task from seeing that its time is up.
const FRAMES_PER_TURN: u32 = 64;

/// A body whose errors are [`TransportFailure`]s.
pub(crate) struct MonitoredBody {
    body: Body,
    cut: Box<dyn Fn(&Status) -> TransportFailure + Send>,
    frames_left: u32,
}

impl MonitoredBody {
    /// `cut` converts the client library's error when the body breaks off.
    pub(crate) fn new(body: Body, cut: impl Fn(&Status) -> TransportFailure + Send + 'static) -> Self {
        Self { body, cut: Box::new(cut), frames_left: FRAMES_PER_TURN }
    }
}

impl HttpBody for MonitoredBody {
    type Data = <Body as HttpBody>::Data;
    type Error = TransportFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, TransportFailure>>> {
        let this = self.get_mut();
        let Some(frames_left) = this.frames_left.checked_sub(1) else {
            this.frames_left = FRAMES_PER_TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        this.frames_left = frames_left;
        Poll::Ready(frame.map(|frame| frame.map_err(|status| (this.cut)(&status))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
