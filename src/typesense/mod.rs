//! A client of Typesense: just the calls that Tidewell makes, with errors that say whether trying again can help.

mod collection;
mod documents;
mod error;
mod leader;
mod nodes;
mod room;
mod search;

use std::{sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, Url, header::HeaderValue};
use serde::{Deserialize, de::DeserializeOwned};

pub use collection::{CollectionInfo, NewCollection};
pub use documents::{Imported, LineResult, goes_by_path, line_results, naming};
pub use error::Error;
pub use room::Room;
pub use search::{Found, SearchResult};

use self::nodes::{Answer, Nodes};
use crate::reach;

/// One Typesense backend: its nodes and how to speak to them. Cheap to clone; connections are shared, and so is the knowledge of which
/// node works.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    nodes: Arc<Nodes>,
    /// The addresses of all nodes of the backend, also where this is a client of one of them.
    addresses: Arc<str>,
    api_key: HeaderValue,
    timeout: Duration,
}

/// How long one call may take, unless the client or the call says otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take until a connection is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of JSON that are read of one answer.
const MAX_ANSWER_BYTES: usize = 32 << 20;
const API_KEY: &str = "x-typesense-api-key";

impl Client {
    /// `addresses` are those of all nodes, divided by commas, each without a path, such as `http://127.0.0.1:8108`.
    pub fn new(addresses: &str, api_key: &str) -> Result<Self, reqwest::Error> {
        let nodes: Vec<String> = addresses.split(',').map(|address| address.trim().to_owned()).collect();
        Self::of_nodes(&nodes, api_key, CALL_TIMEOUT)
    }

    /// A backend of one or more nodes, in the order in which they are to be asked. `timeout` bounds each call, nodes asked in vain
    /// included.
    ///
    /// A call goes to the node that worked last. Where that can't be connected to or answers 503, the call has had no effect and goes
    /// to the next at once. A call whose fate is unknown (no answer in time, a connection that broke) fails, and is not sent again
    /// here, unless it is a search; the call after it goes to another node.
    ///
    /// # Panics
    ///
    /// Where there are no nodes.
    pub fn of_nodes(urls: &[String], api_key: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        Self::built(reqwest::Client::builder(), urls, api_key, timeout)
    }

    /// As [`Client::of_nodes`], at addresses that a caller has named: a name that leads where the policy does not is as good as down.
    /// Addresses in the URLs themselves are for the caller to judge: see [`Client::hosts`].
    ///
    /// # Panics
    ///
    /// Where there are no nodes.
    pub fn of_strangers(urls: &[String], api_key: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        Self::built(reqwest::Client::builder().dns_resolver(reach::resolver()), urls, api_key, timeout)
    }

    fn built(
        builder: reqwest::ClientBuilder,
        urls: &[String],
        api_key: &str,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        let nodes = u32::try_from(urls.len()).unwrap_or(u32::MAX).max(1);
        let http = builder
            // A node that swallows connections leaves time for the others.
            .connect_timeout(CONNECT_TIMEOUT.min(timeout / nodes))
            .timeout(timeout)
            .tcp_nodelay(true)
            // The node closes idle connections after 60 s.
            .pool_idle_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let urls = urls.iter().map(|url| http.get(url).build().map(|request| request.url().clone()));
        let nodes = Arc::new(Nodes::new(urls.collect::<Result<_, _>>()?));
        let mut headers = http.get(nodes.first().clone()).header(API_KEY, api_key).build()?;
        let mut api_key = headers.headers_mut().remove(API_KEY).unwrap_or(HeaderValue::from_static(""));
        api_key.set_sensitive(true);
        let addresses: Vec<&str> = nodes.urls().iter().map(shown).collect();
        Ok(Self { addresses: addresses.join(", ").into(), http, nodes, api_key, timeout })
    }

    /// The addresses of all nodes of the backend, as shown to operators.
    pub fn addresses(&self) -> &str {
        &self.addresses
    }

    /// The hosts of all nodes, as they stand in their addresses.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.nodes.urls().iter().filter_map(Url::host_str)
    }

    /// Each node by itself, with its address.
    pub fn each_node(&self) -> impl Iterator<Item = (String, Self)> + '_ {
        self.nodes.urls().iter().map(|url| {
            let nodes = Arc::new(Nodes::new(vec![url.clone()]));
            (shown(url).to_owned(), Self { nodes, ..self.clone() })
        })
    }

    /// Whether a node takes reads and writes now.
    pub async fn healthy(&self) -> bool {
        self.health().await.is_ok()
    }

    /// As [`Client::healthy`], with the reason where none does.
    pub async fn health(&self) -> Result<(), Error> {
        let call = self.request(Method::GET, "/health").timeout(CONNECT_TIMEOUT.min(self.timeout));
        self.send(call).await.map(drop)
    }

    /// The release of the node that answers.
    pub async fn version(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Debug {
            version: String,
        }
        self.send_json::<Debug>(self.request(Method::GET, "/debug")).await.map(|debug| debug.version)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.address(path)).header(API_KEY, self.api_key.clone())
    }

    /// On the first node; where it goes is decided when it is sent.
    fn address(&self, path: &str) -> Url {
        let mut url = self.nodes.first().clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// Sends, and turns every status that is not a success into [`Error::Status`].
    async fn send(&self, request: RequestBuilder) -> Result<Answer, Error> {
        nodes::send(&self.http, &self.nodes, request.build()?, self.timeout).await
    }

    async fn send_json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        self.send(request).await?.json().await
    }
}

/// A node's address, as shown to operators.
fn shown(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

/// A name as one segment of a path: everything but unreserved characters is percent-encoded.
fn segment(name: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            // A dot too: a segment of dots alone would be resolved away.
            _ => write!(out, "%{byte:02X}").unwrap_or_default(),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_path_segment_holds_any_id() {
        assert_eq!(segment("a/b ü.%"), "a%2Fb%20%C3%BC%2E%25");
    }
}
