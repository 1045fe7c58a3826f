//! What stands before every page: who is signed in, and that no other site speaks for them.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use maud::html;

use super::{
    Console,
    api::{REQUEST_ID, with_query},
    frame,
    page::Page,
    session,
};

/// Lets those through who are signed in; a viewer's request that would change something is answered here.
pub(super) async fn signed_in(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let Some(mut session) = console.sessions.of(request.headers(), session::now()) else {
        return match request.method().is_safe() {
            true => {
                let back = request.uri().path_and_query().map(|uri| uri.as_str());
                Redirect::to(&with_query("/console/sign-in", &[("back", back)])).into_response()
            }
            false => signed_out(),
        };
    };
    if !request.method().is_safe() && !session.may_act() {
        let page = Page::fault(
            StatusCode::FORBIDDEN,
            "You are signed in to look: ask somebody with the operator key to do this.",
        );
        return frame::framed(&session, None, page).into_response();
    }
    session.request_id = request.headers().get(REQUEST_ID).cloned();
    request.extensions_mut().insert(session);
    next.run(request).await
}

/// What somebody has written is still in the page before this one: a browser that goes back shows it.
fn signed_out() -> Response {
    let body = html! {
        main #main .sign-in {
            h1 { "Signed out" }
            p { "Nothing was changed, for the session has ended. " a href="/console/sign-in" target="_blank" { "Sign in in another tab" }
                ", then go back and send it again." }
        }
    };
    (StatusCode::UNAUTHORIZED, Html(frame::document("Signed out", &body).into_string())).into_response()
}

/// Refuses what another site makes a browser send: by `Sec-Fetch-Site`, and where a browser does not tell (an address without TLS) by
/// `Origin`, as Go's `http.CrossOriginProtection` does.
pub(super) async fn same_site(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_from_here(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "this form was sent from another site").into_response()
}

fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match text(HeaderName::from_static("sec-fetch-site")) {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => {
            let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(_, host)| Some(host) == text(header::HOST))
        }
    }
}

/// What a browser may do with what is answered: run what comes from here, show it nowhere else, keep none of it.
pub(super) async fn harden(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(headers: &[(&'static str, &'static str)]) -> bool {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        is_from_here(&headers.collect())
    }

    #[test]
    fn what_another_site_sends_is_refused() {
        assert!(is_taken(&[("sec-fetch-site", "same-origin"), ("host", "a"), ("origin", "http://a")]));
        assert!(!is_taken(&[("sec-fetch-site", "cross-site"), ("host", "a"), ("origin", "http://a")]));
        assert!(!is_taken(&[("sec-fetch-site", "same-site"), ("host", "a"), ("origin", "http://a")]));
        assert!(is_taken(&[("host", "a:8700"), ("origin", "http://a:8700")]));
        assert!(!is_taken(&[("host", "a:8700"), ("origin", "http://a")]));
        assert!(!is_taken(&[("host", "a"), ("origin", "null")]));
        assert!(!is_taken(&[("host", "a")]));
    }
}
