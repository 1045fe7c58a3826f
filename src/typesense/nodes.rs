//! The nodes of a backend, and which of them is asked: the one that worked last, and the next where it is known not to have taken a
//! call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use reqwest::{Body, Request, Response, Url};
use serde::de::DeserializeOwned;

use super::{Error, MAX_ANSWER_BYTES};

/// Bytes that are read of why a node refuses.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// At least one node, shared by all clones of a client.
pub(super) struct Nodes {
    urls: Vec<Url>,
    preferred: AtomicUsize,
}

impl Nodes {
    pub(super) fn new(urls: Vec<Url>) -> Self {
        assert!(!urls.is_empty(), "a backend has a node");
        Self { urls, preferred: AtomicUsize::new(0) }
    }

    /// The one that is asked first, where none has worked yet.
    pub(super) fn first(&self) -> &Url {
        &self.urls[0]
    }

    pub(super) fn urls(&self) -> &[Url] {
        &self.urls
    }

    pub(super) fn are_several(&self) -> bool {
        self.urls.len() > 1
    }

    /// Of calls side by side the first one that learns something of a node decides.
    fn prefer(&self, instead_of: usize, node: usize) {
        let _ = self.preferred.compare_exchange(instead_of, node, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The next call goes to another node.
    fn distrust(&self, node: usize) {
        self.prefer(node, (node + 1) % self.urls.len());
    }
}

/// Sends a request to the nodes, each once at most, until one takes it: where a node can't be connected to, or answers 503, it has had
/// no effect there. Where its fate is unknown the error goes up. `limit` bounds the whole. A status that is no success is an error.
pub(super) async fn send(
    http: &reqwest::Client,
    nodes: &Arc<Nodes>,
    request: Request,
    limit: Duration,
) -> Result<Answer, Error> {
    let begun = Instant::now();
    let limit = request.timeout().copied().unwrap_or(limit);
    let first = nodes.preferred.load(Ordering::Relaxed);
    let mut outcome = Err(Error::TimedOut);
    for node in (first..nodes.urls.len()).chain(0..first) {
        let left = limit.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break;
        }
        let mut attempt = request.try_clone().expect("bodies are in memory");
        direct(attempt.url_mut(), &nodes.urls[node]);
        *attempt.timeout_mut() = Some(left);
        outcome = ask(http, attempt).await.map(|response| Answer { response, node, nodes: nodes.clone() });
        match &outcome {
            Err(error) if error.never_arrived() || error.status_code() == Some(503) => continue,
            Ok(_) | Err(Error::Status { .. }) => nodes.prefer(first, node),
            Err(_) => {
                nodes.prefer(first, node);
                nodes.distrust(node);
            }
        }
        break;
    }
    outcome
}

/// Asks one node.
async fn ask(http: &reqwest::Client, request: Request) -> Result<Response, Error> {
    let response = http.execute(request).await?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let body = Limited::new(Body::from(response), MAX_REFUSAL_BYTES).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    Err(Error::status(status, &String::from_utf8_lossy(&body)))
}

/// Points an address at a node.
fn direct(url: &mut Url, node: &Url) {
    let (path, query) = (url.path().to_owned(), url.query().map(str::to_owned));
    *url = node.clone();
    url.set_path(&path);
    url.set_query(query.as_deref());
}

/// A node's answer, a success as far as its head.
pub(super) struct Answer {
    response: Response,
    node: usize,
    nodes: Arc<Nodes>,
}

impl Answer {
    /// Its body, whole, unless it is too large.
    pub(super) async fn bytes(self) -> Result<Bytes, Error> {
        let body = Limited::new(Body::from(self.response), MAX_ANSWER_BYTES);
        let body = body.collect().await.map_err(|error| {
            let error = broken_off(error);
            if matches!(error, Error::Transport(_)) {
                self.nodes.distrust(self.node);
            }
            error
        })?;
        Ok(body.to_bytes())
    }

    /// Its JSON, unless it is too large.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes().await?).map_err(Error::Answer)
    }

    /// Its body, piece by piece.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Bytes, reqwest::Error>> + Unpin + use<> {
        let Self { response, node, nodes } = self;
        Box::pin(response.bytes_stream().inspect(move |piece| {
            if piece.is_err() {
                nodes.distrust(node);
            }
        }))
    }
}

/// Why an answer was not read to its end.
fn broken_off(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<reqwest::Error>() {
        Ok(error) => Error::Transport(*error),
        Err(error) if error.is::<LengthLimitError>() => Error::TooLarge,
        Err(error) => Error::Answer(serde::de::Error::custom(error)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::typesense::Client;

    fn answer(body: Vec<u8>) -> Answer {
        let nodes = Arc::new(Nodes::new(vec![Url::parse("http://node").expect("a URL")]));
        Answer { response: Response::from(axum::http::Response::new(body)), node: 0, nodes }
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_limit() {
        let blank_then_seven = |bytes: usize| {
            let mut json = vec![b' '; bytes - 1];
            json.push(b'7');
            answer(json).json::<u8>()
        };
        assert!(matches!(blank_then_seven(MAX_ANSWER_BYTES).await, Ok(7)));
        assert!(matches!(blank_then_seven(MAX_ANSWER_BYTES + 1).await, Err(Error::TooLarge)));
    }

    /// What a node does with each connection.
    #[derive(Clone, Copy)]
    enum Node {
        Answers(u16),
        Says(&'static str),
        /// Reads a call, and closes the connection.
        BreaksOff,
        /// Reads a call, and says nothing.
        Hangs,
    }

    /// A node at a port of its own, which counts the calls that it has read.
    async fn node(node: Node) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4096];
                if stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                let (status, body) = match node {
                    Node::Answers(status) => (status, "{}"),
                    Node::Says(body) => (200, body),
                    Node::BreaksOff => continue,
                    Node::Hangs => {
                        tokio::spawn(async move { stream.read(&mut [0]).await });
                        continue;
                    }
                };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.expect("written");
            }
        });
        (url, calls)
    }

    /// The address of a node that is down.
    async fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    }

    fn client(urls: &[&String]) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let urls: Vec<String> = urls.iter().map(|url| (*url).clone()).collect();
        Client::of_nodes(&urls, "key", Duration::from_millis(500)).expect("a client")
    }

    fn count(calls: &AtomicUsize) -> usize {
        calls.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_node_that_is_down_or_not_ready_is_passed_over_and_the_one_that_works_is_remembered() {
        let (lagging, lagging_calls) = node(Node::Answers(503)).await;
        let (well, well_calls) = node(Node::Answers(200)).await;
        let client = client(&[&nobody().await, &lagging, &well]);
        for _ in 0..3 {
            client.put_alias("a", "b").await.expect("taken");
        }
        assert_eq!((count(&lagging_calls), count(&well_calls)), (1, 3));
    }

    #[tokio::test]
    async fn where_no_node_takes_a_call_each_was_asked_once() {
        let (lagging, calls) = node(Node::Answers(503)).await;
        let refused = client(&[&lagging, &lagging, &nobody().await]).health().await;
        assert!(refused.is_err_and(|error| error.never_arrived()));
        assert_eq!(count(&calls), 2);
    }

    #[tokio::test]
    async fn a_call_of_unknown_fate_is_not_sent_again_and_the_next_goes_elsewhere() {
        for fault in [Node::BreaksOff, Node::Hangs] {
            let (faulty, faulty_calls) = node(fault).await;
            let (well, well_calls) = node(Node::Answers(200)).await;
            let client = client(&[&faulty, &well]);
            let unknown = client.put_alias("a", "b").await;
            assert!(unknown.is_err_and(|error| matches!(error, Error::Transport(_)) && !error.never_arrived()));
            assert_eq!((count(&faulty_calls), count(&well_calls)), (1, 0));
            client.put_alias("a", "b").await.expect("taken");
            assert_eq!((count(&faulty_calls), count(&well_calls)), (1, 1));
        }
    }

    #[tokio::test]
    async fn a_search_whose_connection_breaks_is_asked_of_the_next_node() {
        let (faulty, faulty_calls) = node(Node::BreaksOff).await;
        let (well, well_calls) = node(Node::Says("{\"results\":[]}")).await;
        let client = client(&[&faulty, &well]);
        for _ in 0..3 {
            client.search(&[]).await.expect("an answer");
        }
        assert_eq!((count(&faulty_calls), count(&well_calls)), (1, 3));
    }

    #[tokio::test]
    async fn a_cluster_without_a_leader_tells_so() {
        let follower = "{\"state\":4}";
        let (one, _) = node(Node::Says(follower)).await;
        let (other, _) = node(Node::Says(follower)).await;
        let asked = client(&[&one, &nobody().await, &other]).caught_up("c").await;
        assert!(asked.is_err_and(|error| matches!(error, Error::NoLeader) && error.refuses_work()));
        let (leader, calls) = node(Node::Says("{\"state\":1}")).await;
        assert!(client(&[&one, &leader, &other]).caught_up("c").await.is_ok_and(|node| node.is_some()));
        assert_eq!(count(&calls), 3, "whether it leads, before and after, and a write between");
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let (refusing, _) = node(Node::Answers(400)).await;
        let (well, calls) = node(Node::Answers(200)).await;
        let refused = client(&[&refusing, &well]).put_alias("a", "b").await;
        assert_eq!((refused.unwrap_err().status_code(), count(&calls)), (Some(400), 0));
    }

    #[test]
    fn a_path_and_its_query_are_the_same_on_every_node() {
        let mut url = Url::parse("http://a:1/collections/a%2Fb%20%25?x=%26&y").expect("a URL");
        direct(&mut url, &Url::parse("https://b:2").expect("a URL"));
        assert_eq!(url.as_str(), "https://b:2/collections/a%2Fb%20%25?x=%26&y");
    }
}
