//! Keeping pages up: each that is looked at is rendered again every other second, and sent where it has changed.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Query, State},
    http::{HeaderMap, Request, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::stream;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::frame::PART;

/// How often a page is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// A page that takes long to make is made more rarely: for so many times as long nobody asks for it again.
const AT_LEAST_IDLE: u32 = 10;
/// No page is longer.
const PAGE_BYTES: usize = 16 << 20;

#[derive(Clone)]
pub(super) struct Live {
    pub(super) pages: Router,
    pub(super) shutdown: CancellationToken,
}

#[derive(Deserialize)]
pub(super) struct Watched {
    /// The address of the page, with its query.
    at: String,
}

/// A stream of what a page looks like: `page` with its middle, `same` where nothing has changed, `gone` where it can't be shown.
pub(super) async fn stream(
    State(live): State<Live>,
    Query(Watched { at }): Query<Watched>,
    headers: HeaderMap,
) -> Response {
    if !at.starts_with("/console") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let cookie = headers.get(header::COOKIE).cloned();
    let events = stream::unfold((None::<String>, Duration::ZERO), move |(before, took)| {
        let (live, at, cookie) = (live.clone(), at.clone(), cookie.clone());
        async move {
            if before.is_some() {
                tokio::select! {
                    () = tokio::time::sleep(EVERY.max(took * AT_LEAST_IDLE)) => {}
                    () = live.shutdown.cancelled() => return None,
                }
            }
            let mut request = Request::get(&at).header(PART, "middle");
            if let Some(cookie) = cookie {
                request = request.header(header::COOKIE, cookie);
            }
            let began = Instant::now();
            let now = render(&live.pages, request.body(Body::empty()).ok()?).await;
            let event = match &now {
                None => Event::default().event("gone").data(""),
                Some(now) if Some(now) == before.as_ref() => Event::default().event("same").data(""),
                Some(now) => Event::default().event("page").data(now),
            };
            Some((Ok::<_, Infallible>(event), (Some(now.unwrap_or_default()), began.elapsed())))
        }
    });
    Sse::new(events).into_response()
}

/// The middle of a page; `None` where there is none any more.
async fn render(pages: &Router, request: Request<Body>) -> Option<String> {
    let answer = pages.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    if !answer.status().is_success() {
        return None;
    }
    String::from_utf8(to_bytes(answer.into_body(), PAGE_BYTES).await.ok()?.into()).ok()
}
