//! A word on what was just done, shown by the next page and by that one alone.

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::session::{cookie, set_cookie};

const COOKIE: &str = "tidewell_notice";
/// Seconds in which the next page has to ask for it.
const LASTS: i64 = 30;
/// A cookie has to be small.
const MOST_CHARS: usize = 500;

/// Sends the browser to a page that says what was done.
pub(super) fn see(path: &str, notice: &str) -> Response {
    let mut response = Redirect::to(path).into_response();
    let notice: String = notice.chars().take(MOST_CHARS).collect();
    if let Some(cookie) = set_cookie(COOKIE, &URL_SAFE_NO_PAD.encode(notice), LASTS, false) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// What is to be said.
pub(super) fn of(headers: &HeaderMap) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cookie(headers, COOKIE)?).ok()?).ok().filter(|notice| !notice.is_empty())
}

/// Once it was said.
pub(super) fn forget() -> Option<HeaderValue> {
    set_cookie(COOKIE, "", 0, false)
}
