//! Spans, as a collector gets them: the trace of a write goes on where it is projected.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, routing::post};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::stack::{Setting, Stack};

/// A collector that keeps what it is sent. Names and ids stand in OTLP's messages as they are, so they are looked for as bytes.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let kept = collector.clone();
        let take = post(move |body: Bytes| async move { kept.0.lock().expect("spans").extend_from_slice(&body) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", take)).await });
        (collector, format!("http://{address}"))
    }

    fn has(&self, bytes: &[u8]) -> bool {
        self.0.lock().expect("spans").windows(bytes.len()).any(|window| window == bytes)
    }
}

const ENDPOINT: &str = "TIDEWELL_OTLP_ENDPOINT";
const TRACED: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const TRACED_TOO: u128 = 0x6bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4738;
const UNTRACED: u128 = 0x5bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4737;

// On several threads: the collector answers while the processes are waited for.
#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_write_leads_to_its_import() {
    let (of_serve, serve_endpoint) = Collector::start().await;
    let (of_work, work_endpoint) = Collector::start().await;
    let setting = Setting::fresh().await;
    // Whoever brings no trace is not traced here.
    let settings = setting.clone().with(ENDPOINT, serve_endpoint).with("TIDEWELL_OTLP_SAMPLE_PERCENT", 0);
    let stack = Stack::without_worker(settings).await;
    let tenant = stack.tenant("traced").await;
    let mut jobs = vec![];
    for (id, trace, flags) in [("1", TRACED, "01"), ("1", TRACED_TOO, "01"), ("2", UNTRACED, "00")] {
        let write =
            tenant.client.request(Method::PUT, "/v1/indexes/books/documents").json(&json!({ "id": id, "title": id }));
        let write = write.header("traceparent", format!("00-{trace:032x}-00f067aa0ba902b7-{flags}"));
        jobs.push(tenant.client.send(write).await.expect(202));
    }
    let worker = setting.with(ENDPOINT, work_endpoint).work();
    for job in &jobs {
        tenant.client.ended(job).await;
    }
    // The last spans are sent at the end.
    worker.stop();
    stack.front.process.stop();
    let (traced, untraced) = (TRACED.to_be_bytes(), UNTRACED.to_be_bytes());
    for name in ["request", "accept", "http.route", "/v1/indexes/{index}/documents"] {
        assert!(of_serve.has(name.as_bytes()), "{name}");
    }
    for name in ["project", "import"] {
        assert!(of_work.has(name.as_bytes()), "{name}");
    }
    assert!(of_serve.has(&traced), "the request is in its caller's trace");
    assert!(
        of_work.has(&traced) && of_work.has(&TRACED_TOO.to_be_bytes()),
        "the span that projects both is of both traces"
    );
    assert!(!of_serve.has(&untraced) && !of_work.has(&untraced), "a caller that does not trace decides that, too");
}
