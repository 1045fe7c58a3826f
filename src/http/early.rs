//! Answers given before the request's body was read to its end. The connection can go on only if the rest is read; where it is
//! too long for that, the sender is told that the connection ends.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use http_body_util::BodyExt;

/// What is read of a body that nobody wants any more.
const MAX_BYTES: usize = 256 << 10;
const WITHIN: Duration = Duration::from_millis(250);

/// Reads what a handler left of the body, within bounds, or announces the connection's end.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    // A sender that waits to be asked for its body is not asked any more.
    let waits_to_be_asked = parts.headers.contains_key(header::EXPECT);
    let shared = Shared(Arc::new(Mutex::new(Lent { body, touched: false })));
    let mut response = next.run(Request::from_parts(parts, Body::new(shared.clone()))).await;
    let asked = !waits_to_be_asked || shared.lent(|lent| lent.touched);
    if !(asked && tokio::time::timeout(WITHIN, discard(shared)).await.unwrap_or(false)) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// True once the body has been read to its end.
async fn discard(mut body: Shared) -> bool {
    let mut left = MAX_BYTES;
    while !body.is_end_stream() {
        match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return false,
            },
        }
    }
    true
}

/// A request's body, of which the handler has a clone: whatever it drops unread is still here.
#[derive(Clone)]
struct Shared(Arc<Mutex<Lent>>);

struct Lent {
    body: Body,
    touched: bool,
}

impl Shared {
    fn lent<T>(&self, look: impl FnOnce(&mut Lent) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        self.lent(|lent| {
            lent.touched = true;
            Pin::new(&mut lent.body).poll_frame(context)
        })
    }

    fn is_end_stream(&self) -> bool {
        self.lent(|lent| lent.body.is_end_stream())
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.lent(|lent| lent.body.size_hint())
    }
}
