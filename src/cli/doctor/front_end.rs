//! A front end as its users call it.

use std::time::{Duration, SystemTime};

use reqwest::{Response, Url, header::DATE, redirect::Policy};

use super::finding::Finding;
use crate::cli::Session;

const WITHIN: Duration = Duration::from_secs(10);
/// How far its clock may be off; an answer's date has whole seconds.
const SKEW: Duration = Duration::from_secs(3);
const CHECK: &str = "front_end";

pub(super) async fn check(session: &Session, url: &Url) -> Vec<Finding> {
    let http = match reqwest::Client::builder().timeout(WITHIN).redirect(Policy::none()).build() {
        Ok(http) => http,
        Err(error) => return vec![Finding::unknown(CHECK, error)],
    };
    let get = |path: &str| http.get(url.join(path).unwrap_or_else(|_| url.clone()));
    let alive = match get("healthz").send().await {
        Ok(alive) => alive,
        Err(error) => return vec![unreachable(&error)],
    };
    let mut findings = vec![alive_or_not(&alive), clock(&alive), tls(url)];
    findings.push(match get("readyz").send().await {
        Ok(ready) if ready.status().is_success() => Finding::ok("front_end_ready", "it serves"),
        Ok(not_ready) => {
            let told = not_ready.text().await.unwrap_or_default();
            Finding::problem("front_end_ready", told, "mend what it says")
        }
        Err(error) => unreachable(&error),
    });
    if let Some(key) = &session.config.athena_key_12 {
        let answer = get("v1/plans").header("x-athena-key", key).send().await;
        findings.push(match answer.map(|answer| answer.status().as_u16()) {
            Ok(200) => Finding::ok("front_end_key", "it takes the operator key"),
            Ok(status) => Finding::problem(
                "front_end_key",
                format!("it answers the operator key with {status}"),
                "set ATHENA_KEY_12 alike here and for `serve`",
            ),
            Err(error) => unreachable(&error),
        });
    }
    findings
}

fn unreachable(error: &reqwest::Error) -> Finding {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let remedy = "start `tidewell serve`, and look at TIDEWELL_LISTEN, the proxy before it and its certificate";
    Finding::problem(CHECK, format!("it can't be called: {cause}"), remedy)
}

fn alive_or_not(answer: &Response) -> Finding {
    match answer.status().is_success() {
        true => Finding::ok(CHECK, "it is alive"),
        false => Finding::problem(
            CHECK,
            format!("/healthz answers {}: that is no Tidewell, or a proxy without one behind it", answer.status()),
            "let the address be that of `tidewell serve`, or of the proxy before it",
        ),
    }
}

fn clock(answer: &Response) -> Finding {
    const CHECK: &str = "front_end_clock";
    let date = answer
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| httpdate::parse_http_date(date).ok());
    let Some(theirs) = date.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok()) else {
        return Finding::unknown(CHECK, "its answer has no date");
    };
    let off = theirs.abs_diff(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
    match off <= SKEW {
        true => Finding::ok(CHECK, "its clock and this machine's agree"),
        false => Finding::warning(
            CHECK,
            format!("its clock is {} s off this machine's", off.as_secs()),
            "run an NTP client on both",
        ),
    }
}

fn tls(url: &Url) -> Finding {
    const CHECK: &str = "front_end_tls";
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match (url.scheme(), is_here) {
        ("https", _) => Finding::ok(CHECK, "it is called by https, with a certificate that holds"),
        (_, true) => Finding::ok(CHECK, "it is called on this machine"),
        _ => Finding::warning(
            CHECK,
            "it is called by http: keys cross the network in the clear",
            "put a proxy that ends TLS before it",
        ),
    }
}
