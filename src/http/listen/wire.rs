//! A connection as hyper reads and writes it, with an end to the patience for its other end.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::Bounds;

/// What is said to somebody whose request never came to its point.
const TOO_SLOW: &str = concat!(
    "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\ncontent-length: 175\r\nconnection: close\r\n\r\n",
    r#"{"type":"about:blank","title":"Request Timeout","status":408,"detail":"the request's head did not arrive in time","#,
    r#""code":"request_timeout","retryable":true,"requestId":"none"}"#,
);

/// What a connection is at, and since when.
pub(super) struct Standing(Mutex<Now>);

struct Now {
    phase: Phase,
    since: Instant,
    /// Who waits for a request, and has to hear that it may take only so long from now on.
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of a request has arrived.
    Idle,
    /// A part of its head has.
    Head,
    Answering,
    /// The answer is there, and not all of it has been sent.
    Sending,
}

impl Default for Standing {
    fn default() -> Self {
        Self(Mutex::new(Now { phase: Phase::Idle, since: Instant::now(), reader: None }))
    }
}

impl Standing {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn comes_to(&self, phase: Phase) {
        let mut now = self.now();
        (now.phase, now.since) = (phase, Instant::now());
        if let Some(reader) = now.reader.take() {
            reader.wake();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.now().phase == Phase::Idle
    }

    fn is_sending(&self) -> bool {
        self.now().phase == Phase::Sending
    }

    /// Since when a request is waited for; `None` until the one before it has its whole answer.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let now = self.now();
        matches!(now.phase, Phase::Idle | Phase::Head).then_some(now.since)
    }
}

/// A request that is being answered, until this is dropped.
pub(super) struct Answering(Arc<Standing>);

impl Answering {
    pub(super) fn begin(standing: Arc<Standing>) -> Self {
        standing.comes_to(Phase::Answering);
        Self(standing)
    }

    /// The answer's body, with whose end the answering ends.
    pub(super) fn until_the_end_of(self, body: Body) -> Answered {
        Answered { body, _answering: self }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.comes_to(Phase::Sending);
    }
}

pub(super) struct Answered {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

pub(super) struct Wire {
    stream: TcpStream,
    standing: Arc<Standing>,
    bounds: Bounds,
    reading: Timer,
    writing: Timer,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, standing: Arc<Standing>, bounds: Bounds) -> Self {
        Self { stream, standing, bounds, reading: Timer(None), writing: Timer(None) }
    }

    /// What is waited for, and until when; `None` until a request has its answer, after which `context` is woken.
    fn deadline(&self, context: &Context<'_>) -> Option<(Phase, Instant)> {
        let mut now = self.standing.now();
        match now.phase {
            Phase::Idle => Some((Phase::Idle, now.since + self.bounds.idle)),
            Phase::Head => Some((Phase::Head, now.since + self.bounds.head)),
            Phase::Answering | Phase::Sending => {
                now.reader = Some(context.waker().clone());
                None
            }
        }
    }

    /// What came of writing, unless that has stood still for too long.
    fn written(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.writing = Timer(None);
            return written;
        }
        let stall = self.bounds.stall;
        ready!(self.writing.poll_after(stall, context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            if buffer.filled().len() > before && self.standing.is_idle() {
                self.standing.comes_to(Phase::Head);
            }
            return read;
        }
        let Some((phase, deadline)) = self.deadline(context) else { return Poll::Pending };
        ready!(self.reading.poll_at(deadline, context));
        if phase == Phase::Head {
            let _ = self.stream.try_write(TOO_SLOW.as_bytes());
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        // hyper asks for this once it has nothing left to write.
        if self.standing.is_sending() {
            self.standing.comes_to(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A moment that is waited for beside something else.
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll_at(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context)
    }

    /// So long after it was first asked.
    fn poll_after(&mut self, duration: Duration, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + duration)));
        sleep.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::TOO_SLOW;

    #[test]
    fn the_words_to_a_slow_one_are_as_long_as_they_say() {
        let (head, body) = TOO_SLOW.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<crate::http::Problem>(body).is_ok_and(|problem| problem.status == 408));
    }
}
