//! A proxy before an HTTP server.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use uuid::Uuid;

use super::{
    message::{Answer, Request},
    trick::{Trick, Tricks},
};

/// Longer than anything that is waited for on either side.
const FORWARDED_WITHIN: Duration = Duration::from_secs(120);

pub(crate) struct HttpProxy {
    pub(crate) url: String,
    pub(crate) tricks: Tricks,
}

struct Shared {
    http: reqwest::Client,
    target: String,
    tricks: Tricks,
}

impl HttpProxy {
    pub(crate) async fn before(target: &str, tricks: Tricks) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let http = reqwest::Client::builder().no_proxy().timeout(FORWARDED_WITHIN).build()?;
        let shared = Arc::new(Shared { http, target: target.to_owned(), tricks: tricks.clone() });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, shared.clone()));
            }
        });
        Ok(Self { url, tricks })
    }
}

async fn connection(client: TcpStream, shared: Arc<Shared>) {
    let mut client = BufReader::new(client);
    while let Some(request) = Request::read(&mut client).await {
        let trick = shared.tricks.choose(&request);
        let Some(bytes) = play(&shared, request, trick).await else { return };
        let whole = !matches!(trick, Some(Trick::HalfAnswer));
        if client.write_all(&bytes).await.is_err() || !whole {
            return;
        }
    }
}

/// What the client gets, `None`: nothing, and its connection is cut.
async fn play(shared: &Shared, mut request: Request, trick: Option<Trick>) -> Option<Vec<u8>> {
    let begun = Instant::now();
    match trick {
        Some(Trick::Cut) => return None,
        Some(Trick::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(Trick::Hold { until, latest }) => {
            tokio::time::sleep(until).await;
            if begun.elapsed() > latest {
                return None;
            }
        }
        Some(Trick::Unavailable) => {
            return Some(Answer::json(503, json!({ "message": "Not Ready or Lagging" }).to_string()).bytes());
        }
        Some(Trick::ForgeAccepted) => return Some(forged_acceptance(&request).bytes()),
        Some(Trick::ForgeUnauthorized) => {
            return Some(Answer::json(401, json!({ "code": "unauthorized", "status": 401 }).to_string()).bytes());
        }
        Some(Trick::ForgeDeleted) => return Some(Answer::json(200, json!({ "num_deleted": 1 }).to_string()).bytes()),
        Some(Trick::WriteTwice) => request.body.extend(doubled(&request.body)),
        Some(Trick::RefuseFirst) => {
            let end = request.body.iter().position(|byte| *byte == b'\n').map_or(request.body.len(), |end| end + 1);
            request.body.drain(..end);
        }
        _ => {}
    }
    let mut answer = match request.body.is_empty() && matches!(trick, Some(Trick::RefuseFirst)) {
        true => Answer::json(200, String::new()),
        false => request.forward(&shared.http, &shared.target).await?,
    };
    match trick {
        Some(Trick::LoseAnswer) => return None,
        Some(Trick::HalfAnswer) => {
            let mut bytes = answer.bytes();
            bytes.truncate(bytes.len() - answer.body.len().div_ceil(2));
            return Some(bytes);
        }
        Some(Trick::HalfLines) if answer.is_success() => {
            let lines = answer.lines();
            answer.body = lines[..lines.len() / 2].join(&b'\n');
        }
        Some(Trick::FailedLines) if answer.is_success() => {
            let failed: &[u8] = br#"{"code":503,"error":"Not Ready or Lagging","success":false}"#;
            let lines = answer.lines().into_iter().enumerate();
            let lines: Vec<&[u8]> = lines.map(|(n, line)| if n % 2 == 0 { failed } else { line }).collect();
            answer.body = lines.join(&b'\n');
        }
        // The highest bit is set in no JSON that our documents make: nothing garbled can be taken for another good answer.
        Some(Trick::Garble) if answer.is_success() => {
            shared.tricks.places(answer.body.len()).into_iter().for_each(|place| answer.body[place] |= 0x80);
        }
        Some(Trick::WriteTwice) if answer.is_success() => {
            let lines = answer.lines();
            answer.body = lines[..lines.len() / 2].join(&b'\n');
        }
        Some(Trick::RefuseFirst) if answer.is_success() => {
            let refused: &[u8] = br#"{"code":400,"error":"Field `title` must be a string.","success":false}"#;
            answer.body = [&[refused], &answer.lines()[..]].concat().join(&b'\n');
        }
        _ => {}
    }
    Some(answer.bytes())
}

/// What `serve` would say if it took all of a batch.
fn forged_acceptance(request: &Request) -> Answer {
    let documents = serde_json::from_slice(&request.body)
        .map_or(0, |batch: serde_json::Value| batch["documents"].as_array().map_or(0, Vec::len));
    let lines = request.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    let accepted = if documents > 0 { documents } else { lines };
    Answer::json(202, json!({ "jobId": Uuid::now_v7(), "accepted": accepted, "rejected": [] }).to_string())
}

/// The same documents under other ids.
fn doubled(lines: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(lines);
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{end}{}", text.replace(r#""id":""#, r#""id":"again-"#)).into_bytes()
}
