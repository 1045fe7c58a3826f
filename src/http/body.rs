//! Bodies: read in pieces, counted as they arrive, never beyond the limits.

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::{Error, Fault, State};

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
        let reading = read(request.into_body(), MAX_WRITE_BYTES, Some(&state.bodies));
        tokio::time::timeout(READ_WITHIN, reading).await.map_err(|_| too_slow())?
    }
}

fn too_slow() -> Error {
    Error::invalid(format!("the body did not arrive within {} s", READ_WITHIN.as_secs()))
}

async fn read(mut body: Body, limit: usize, budget: Option<&Arc<Semaphore>>) -> Result<WriteBody, Error> {
    let mut bytes = Vec::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::invalid(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Error::TooLarge {
                code: "payload_too_large",
                detail: format!("the body has more than {limit} bytes: send it in parts"),
            });
        }
        bytes.extend_from_slice(&data);
        if let Some(budget) = budget {
            let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let wanted = u32::try_from(bytes.len().div_ceil(UNIT) - held).unwrap_or(u32::MAX);
            let more = budget.clone().try_acquire_many_owned(wanted).map_err(|reason| {
                debug_assert!(matches!(reason, TryAcquireError::NoPermits));
                Error::Unavailable {
                    detail: "too many bytes of other requests are being read: try again".to_owned(),
                    retry_after: 1,
                }
            })?;
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
        }
    }
    Ok(WriteBody { bytes, _share: share })
}

/// A JSON body whose shape is `T`: 400 where it isn't JSON, 422 where it is of another shape.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<State> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &State) -> Result<Self, Error> {
        let reading = read(request.into_body(), MAX_JSON_BYTES, None);
        let body = tokio::time::timeout(READ_WITHIN, reading).await.map_err(|_| too_slow())??;
        parse(&body).map(Self)
    }
}

/// Reads JSON of a known shape.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Error::validation(vec![Fault::new("body", error.to_string())]),
        _ => Error::invalid(format!("the body is not JSON: {error}")),
    })
}
