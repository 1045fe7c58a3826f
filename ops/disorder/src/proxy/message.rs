//! HTTP/1.1, as far as the proxies need it: requests and answers that are read whole.

use std::fmt::Write as _;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// A request that was read whole.
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An answer, to be written as it is.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The next request of a connection; `None` where it ends.
    pub(crate) async fn read(stream: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Self> {
        let first = line(stream).await?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let line = line(stream).await?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
        stream.read_exact(&mut body).await.ok()?;
        Some(Self { method, path, headers, body })
    }

    pub(crate) fn is_import(&self) -> bool {
        self.path.contains("/documents/import")
    }

    /// Sends it to the server at this URL, and reads the answer whole.
    pub(crate) async fn forward(&self, http: &reqwest::Client, target: &str) -> Option<Answer> {
        let method = self.method.parse().ok()?;
        let mut call = http.request(method, format!("{target}{}", self.path)).body(self.body.clone());
        for (name, value) in &self.headers {
            if !matches!(name.as_str(), "host" | "content-length" | "connection" | "transfer-encoding" | "expect") {
                call = call.header(name, value);
            }
        }
        let answer = call.send().await.ok()?;
        let status = answer.status().as_u16();
        let passed = ["content-type", "location", "retry-after"];
        let headers = passed
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), answer.headers().get(name)?.to_str().ok()?.to_owned())));
        let headers = headers.collect();
        Some(Answer { status, headers, body: answer.bytes().await.ok()?.to_vec() })
    }
}

impl Answer {
    pub(crate) fn json(status: u16, body: String) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.into_bytes() }
    }

    /// All of it, as it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} -\r\ncontent-length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Lines of an import's answer.
    pub(crate) fn lines(&self) -> Vec<&[u8]> {
        self.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
    }
}

async fn line(stream: &mut BufReader<impl AsyncRead + Unpin>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
