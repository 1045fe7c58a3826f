//! Keeping pages up: each that is looked at is rendered again every other second, and sent where it has changed.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, Request, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use xxhash_rust::xxh3::xxh3_64;

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

/// A stream of what a page looks like: `page` with its middle, `same` where nothing has changed, `trouble` while it can't be made, and at
/// last `gone` where it can't be shown: to whoever is signed in no more, or because there is no such thing. `beat` says that there is
/// nothing to say yet.
pub(super) async fn stream(
    State(live): State<Live>,
    Query(Watched { at }): Query<Watched>,
    headers: HeaderMap,
) -> Response {
    let cookie = headers.get(header::COOKIE).cloned();
    let look = Look { live, at, cookie, shown: None };
    let events = stream::unfold(Some((look, Duration::ZERO)), |state| async move {
        let (mut look, wait) = state?;
        tokio::select! {
            biased;
            () = look.live.shutdown.cancelled() => return None,
            () = tokio::time::sleep(wait) => {}
        }
        let began = Instant::now();
        let (event, is_last) = match look.seen().await {
            Seen::Page(page) => (look.told(&page), false),
            Seen::Trouble => (word("trouble"), false),
            Seen::Nothing => (word("gone"), true),
        };
        let wait = EVERY.max(began.elapsed() * AT_LEAST_IDLE);
        Some((Ok::<_, Infallible>(event), (!is_last).then_some((look, wait))))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(EVERY).event(word("beat"))).into_response()
}

/// An event that says no more than its name. A browser passes over one without data.
fn word(name: &str) -> Event {
    Event::default().event(name).data(name)
}

/// Somebody's look at a page.
struct Look {
    live: Live,
    at: String,
    cookie: Option<HeaderValue>,
    /// The hash of what was told last.
    shown: Option<u64>,
}

/// What there is at an address.
enum Seen {
    Page(String),
    /// Not now.
    Trouble,
    Nothing,
}

impl Look {
    async fn seen(&self) -> Seen {
        let mut request = Request::get(&self.at).header(PART, "middle");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let Ok(request) = request.body(Body::empty()) else { return Seen::Nothing };
        let answer = self.live.pages.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        match answer.status() {
            status if status.is_server_error() => Seen::Trouble,
            status if !status.is_success() => Seen::Nothing,
            _ => match to_bytes(answer.into_body(), PAGE_BYTES).await {
                Ok(page) => Seen::Page(String::from_utf8_lossy(&page).into_owned()),
                Err(_) => Seen::Trouble,
            },
        }
    }

    fn told(&mut self, page: &str) -> Event {
        let hash = xxh3_64(page.as_bytes());
        match self.shown.replace(hash) {
            Some(before) if before == hash => word("same"),
            _ => Event::default().event("page").data(page),
        }
    }
}
