//! Bodies: read in pieces, counted as they arrive, never beyond the limits.

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::{FromRequest, Request},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, IgnoredAny},
};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::{Error, Fault, State, error::refused_by};

/// Bytes of a write's body, after decompression.
pub(super) const MAX_WRITE_BYTES: usize = 32 << 20;
/// Bytes of any other body: a document of the largest size, wrapped, must fit.
const MAX_JSON_BYTES: usize = 2 << 20;
/// How long a sender may take for a body: a slow one must not hold memory for ever.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// What one permit of the process-wide budget stands for.
pub(super) const UNIT: usize = 1024;

/// A write's body, whole. Its share of the process-wide budget is given back when it is dropped.
pub(super) struct WriteBody {
    bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

impl Deref for WriteBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl FromRequest<State> for WriteBody {
    type Rejection = Error;

    async fn from_request(request: Request, state: &State) -> Result<Self, Error> {
        read(request.into_body(), MAX_WRITE_BYTES, state.limits.stall, Some(&state.bodies)).await
    }
}

/// Reads a body of up to `limit` bytes that nowhere stands still for longer than `stall`.
async fn read(body: Body, limit: usize, stall: Duration, budget: Option<&Arc<Semaphore>>) -> Result<WriteBody, Error> {
    let too_slow = || Error::TooSlow(format!("the body did not arrive within {} s", READ_WITHIN.as_secs()));
    let reading = read_pieces(body, limit, stall, budget);
    tokio::time::timeout(READ_WITHIN, reading).await.unwrap_or_else(|_| Err(too_slow()))
}

async fn read_pieces(
    mut body: Body,
    limit: usize,
    stall: Duration,
    budget: Option<&Arc<Semaphore>>,
) -> Result<WriteBody, Error> {
    let stalled = || Error::TooSlow(format!("nothing of the body arrived for {} s", stall.as_secs()));
    // Memory is taken as it is written to, and a buffer that need not grow is not held twice.
    let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(limit));
    let mut share: Option<OwnedSemaphorePermit> = None;
    // Once there is no room for it, the rest is read and forgotten: a sender that is cut off sees a broken pipe, not the 503.
    let mut discarded: Option<usize> = None;
    while let Some(frame) = tokio::time::timeout(stall, body.frame()).await.map_err(|_| stalled())? {
        let frame = frame.map_err(|error| Error::invalid(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if discarded.unwrap_or(bytes.len()) + data.len() > limit {
            return Err(Error::TooLarge {
                code: "payload_too_large",
                detail: format!("the body has more than {limit} bytes: send it in parts"),
            });
        }
        if let Some(discarded) = &mut discarded {
            *discarded += data.len();
            continue;
        }
        if let Some(budget) = budget {
            let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let wanted = (bytes.len() + data.len()).div_ceil(UNIT) - held;
            match budget.clone().try_acquire_many_owned(u32::try_from(wanted).unwrap_or(u32::MAX)) {
                Ok(more) => match &mut share {
                    Some(share) => share.merge(more),
                    None => share = Some(more),
                },
                Err(reason) => {
                    debug_assert!(matches!(reason, TryAcquireError::NoPermits));
                    discarded = Some(bytes.len() + data.len());
                    (bytes, share) = (Vec::new(), None);
                    continue;
                }
            }
        }
        bytes.extend_from_slice(&data);
    }
    if discarded.is_some() {
        refused_by("body_bytes");
        return Err(Error::Unavailable {
            detail: "too many bytes of other requests are being read: try again".to_owned(),
            retry_after: 1,
        });
    }
    Ok(WriteBody { bytes, _share: share })
}

/// A JSON body whose shape is `T`: 400 where it isn't JSON, 422 where it is of another shape.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<State> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &State) -> Result<Self, Error> {
        parse(&read_json(request, state).await?).map(Self)
    }
}

/// As [`Json`], for a body that may be left out.
pub(super) struct JsonOrNothing<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<State> for JsonOrNothing<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &State) -> Result<Self, Error> {
        let body = read_json(request, state).await?;
        if body.is_empty() { Ok(Self(T::default())) } else { parse(&body).map(Self) }
    }
}

async fn read_json(request: Request, state: &State) -> Result<WriteBody, Error> {
    read(request.into_body(), MAX_JSON_BYTES, state.limits.stall, None).await
}

/// Reads a JSON object of a known shape.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    let parsed = match body.trim_ascii_start().first() {
        // Serde would take an array of the values for the object.
        Some(b'[') => serde_json::from_slice(body).and_then(|IgnoredAny| Err(serde_json::Error::custom(NO_OBJECT))),
        _ => serde_json::from_slice(body),
    };
    parsed.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Error::validation(vec![Fault::new("body", error.to_string())]),
        _ => Error::invalid(format!("the body is not JSON: {error}")),
    })
}

const NO_OBJECT: &str = "must be an object";

/// Reads an object within a body, which may be null or left out; an array of its values is none.
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let Some(json) = Option::<Box<RawValue>>::deserialize(deserializer)? else { return Ok(None) };
    if !json.get().starts_with('{') {
        return Err(D::Error::custom(NO_OBJECT));
    }
    serde_json::from_str(json.get()).map(Some).map_err(D::Error::custom)
}

/// Sees that only codings pass which are taken, written as the layer within decodes them.
pub(super) async fn known_coding(mut request: Request, next: Next) -> Response {
    let mut codings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    let name = match (codings.next(), codings.next()) {
        (None, _) => return next.run(request).await,
        (Some(coding), None) => coding.to_str().unwrap_or_default().trim().to_ascii_lowercase(),
        _ => String::new(),
    };
    let name = match &*name {
        "gzip" | "x-gzip" => "gzip",
        "identity" => "identity",
        _ => {
            return Error::UnsupportedMediaType("a body may be compressed with gzip, once, or not at all")
                .into_response();
        }
    };
    request.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Inner {
        name: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[serde(default, deserialize_with = "object")]
        inner: Option<Inner>,
    }

    fn status(body: &str) -> u16 {
        parse::<Outer>(body.as_bytes()).map_or_else(|error| error.into_response().status().as_u16(), |_| 200)
    }

    #[test]
    fn an_array_is_not_taken_for_an_object() {
        assert_eq!(parse::<Outer>(br#" {"inner":{"name":"a"}}"#).unwrap().inner.unwrap().name.as_deref(), Some("a"));
        assert_eq!(["{}", r#"{"inner":null}"#].map(status), [200; 2]);
        assert_eq!(["[]", "[null]", r#"[{"name":"a"}]"#, r#"{"inner":["a"]}"#, "1", "null"].map(status), [422; 6]);
        assert_eq!(["[", "[1,]", "", "{", "[]x"].map(status), [400; 5]);
    }

    #[tokio::test]
    async fn a_body_that_stands_still_is_given_up() {
        let one = futures::stream::once(async { Ok::<_, std::convert::Infallible>("x") });
        let body = Body::from_stream(one.chain(futures::stream::pending()));
        assert!(matches!(read(body, UNIT, Duration::from_millis(10), None).await, Err(Error::TooSlow(_))));
    }

    #[tokio::test]
    async fn beyond_the_budget_the_rest_is_read_and_nothing_is_held() {
        let budget = Arc::new(Semaphore::new(4));
        let chunks = |n: usize| {
            let read = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let counted = read.clone();
            let chunks = (0..n).map(move |_| {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Ok::<_, std::convert::Infallible>(vec![0u8; UNIT])
            });
            (Body::from_stream(futures::stream::iter(chunks)), read)
        };
        let (body, count) = chunks(10);
        assert!(matches!(read(body, 20 * UNIT, READ_WITHIN, Some(&budget)).await, Err(Error::Unavailable { .. })));
        assert_eq!((count.load(std::sync::atomic::Ordering::Relaxed), budget.available_permits()), (10, 4));
        let (body, count) = chunks(30);
        assert!(matches!(read(body, 20 * UNIT, READ_WITHIN, Some(&budget)).await, Err(Error::TooLarge { .. })));
        assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 21);
        let body = read(chunks(4).0, 20 * UNIT, READ_WITHIN, Some(&budget)).await.expect("there is room");
        assert_eq!((body.len(), budget.available_permits()), (4 * UNIT, 0));
    }
}
