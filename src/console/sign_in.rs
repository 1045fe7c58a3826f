//! Signing in and out.

use axum::{
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use maud::html;
use serde::Deserialize;

use super::{
    Console,
    fields::Fields,
    forms::Field,
    frame, parts,
    session::{self, NAME_CHARS},
};

#[derive(Deserialize)]
pub(super) struct Asked {
    /// Where somebody wanted to go.
    back: Option<String>,
}

pub(super) async fn form(State(console): State<Console>, Query(Asked { back }): Query<Asked>) -> Response {
    shown(&console, StatusCode::OK, "", &back.unwrap_or_default(), None)
}

fn shown(console: &Console, status: StatusCode, name: &str, back: &str, fault: Option<&str>) -> Response {
    let body = html! {
        main #main .sign-in {
            h1 { (parts::icon("wave")) "Tidewell" }
            @if !console.sessions.are_possible() {
                (parts::alert("ATHENA_KEY_12 is not set: set it where `tidewell serve` runs, and start that again."))
            } @else {
                @if let Some(fault) = fault { (parts::alert(fault)) }
                form method="post" action="/console/sign-in" {
                    input type="hidden" name="back" value=(back);
                    (Field::secret("key", "Operator key").required().hint("ATHENA_KEY_12, or TIDEWELL_VIEWER_KEY to look and change nothing"))
                    (Field::text("name", "Your name").value(name).hint("kept with what you do, so that others see who did it"))
                    button .primary type="submit" { "Sign in" }
                }
            }
        }
    };
    (status, Html(frame::document("Sign in", &body).into_string())).into_response()
}

pub(super) async fn sign_in(State(console): State<Console>, headers: HeaderMap, fields: Fields) -> Response {
    let name = fields.text("name");
    let refused = |status, fault| shown(&console, status, name, fields.text("back"), Some(fault));
    // It becomes part of a header and of the records.
    if name.chars().count() > NAME_CHARS || !name.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, "A name is up to 60 letters, digits and signs of ASCII.");
    }
    let name = Some(name.to_owned()).filter(|name| !name.is_empty());
    let Some(session) = console.sessions.open(fields.text("key"), name, session::now()) else {
        return refused(StatusCode::UNAUTHORIZED, "That key is not right.");
    };
    let secure = came_by_tls(&headers);
    let mut response = Redirect::to(way_back(fields.text("back"))).into_response();
    if let Some(cookie) = console.sessions.cookie(&session, secure) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Whether the browser spoke TLS, by what the proxies on the way have written down; the first of them is the one that it spoke to.
fn came_by_tls(headers: &HeaderMap) -> bool {
    let proto = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    proto.and_then(|all| all.split(',').next()).is_some_and(|first| first.trim().eq_ignore_ascii_case("https"))
}

/// Where to go after signing in: within the console, whatever the address says.
fn way_back(back: &str) -> &str {
    let is_ours = back == "/console" || back.starts_with("/console/") || back.starts_with("/console?");
    if is_ours && back.bytes().all(|byte| byte.is_ascii_graphic()) { back } else { "/console" }
}

pub(super) async fn sign_out() -> Response {
    let mut response = Redirect::to("/console/sign-in").into_response();
    if let Some(cookie) = session::forget() {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_proxy_tells_whether_the_browser_spoke_tls() {
        let is_secure = |value: &'static str| {
            came_by_tls(&HeaderMap::from_iter([("x-forwarded-proto".parse().unwrap(), value.parse().unwrap())]))
        };
        for by_tls in ["https", "HTTPS", "https,http", " https , http"] {
            assert!(is_secure(by_tls), "{by_tls}");
        }
        for plain in ["http", "http,https", "", "httpsx"] {
            assert!(!is_secure(plain), "{plain}");
        }
        assert!(!came_by_tls(&HeaderMap::new()));
    }

    #[test]
    fn nobody_is_sent_elsewhere_after_signing_in() {
        for ours in ["/console", "/console/jobs?status=failed", "/console?a=b"] {
            assert_eq!(way_back(ours), ours);
        }
        for other in ["", "//evil.example", "https://evil.example", "/consoles", "/console/\r\nx", "/v1/plans"] {
            assert_eq!(way_back(other), "/console", "{other:?}");
        }
    }
}
