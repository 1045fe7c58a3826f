//! A proxy before Typesense that does what a real network does on a bad day, when told to.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};

/// What the proxy does to imports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Lets everything through.
    None,
    /// Holds an import back until it is let go, whatever becomes of who sent it.
    Hold,
    /// Answers 503, and forwards nothing.
    Unavailable,
    /// Forwards the import, and cuts the answer off.
    CutAnswer,
    /// Forwards the import, and answers with none of its lines.
    NoLines,
    /// Answers every request 503, imports or not, and forwards nothing.
    NotReady,
    /// Cuts every request off, imports or not, and forwards nothing.
    Away,
}

/// An import held back.
pub struct Held {
    pub body: String,
    go: oneshot::Sender<oneshot::Sender<()>>,
}

impl Held {
    /// Lets it through to Typesense; returns once Typesense has answered it.
    pub async fn let_go(self) {
        let (done, landed) = oneshot::channel();
        self.go.send(done).expect("the proxy waits");
        landed.await.expect("it landed");
    }
}

pub struct Proxy {
    pub url: String,
    fault: Arc<Mutex<Fault>>,
    pub held: mpsc::UnboundedReceiver<Held>,
}

impl Proxy {
    /// A proxy before the server at this URL.
    pub async fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let target = target.trim_start_matches("http://").to_owned();
        let fault = Arc::new(Mutex::new(Fault::None));
        let (send, held) = mpsc::unbounded_channel();
        let shared = fault.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, target.clone(), shared.clone(), send.clone()));
            }
        });
        Self { url, fault, held }
    }

    pub fn set(&self, fault: Fault) {
        *self.fault.lock().expect("the fault") = fault;
    }
}

/// One client's connection: requests are read whole, one after the other, and each goes on over a connection of its own.
async fn connection(
    mut client: TcpStream,
    target: String,
    fault: Arc<Mutex<Fault>>,
    held: mpsc::UnboundedSender<Held>,
) {
    while let Some(request) = read_message(&mut client).await {
        let is_import = request.head.contains("/documents/import");
        let fault = match *fault.lock().expect("the fault") {
            fault if is_import || matches!(fault, Fault::Away | Fault::NotReady) => fault,
            _ => Fault::None,
        };
        let answer = match fault {
            Fault::Away => return,
            Fault::Unavailable | Fault::NotReady => {
                let body = r#"{"message":"Not Ready or Lagging"}"#;
                format!("HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
            }
            Fault::Hold => {
                let (go, wait) = oneshot::channel();
                let body = String::from_utf8_lossy(&request.body).into_owned();
                let _ = held.send(Held { body, go });
                let Ok(done) = wait.await else { return };
                let answer = forward(&target, &request).await;
                let _ = done.send(());
                answer
            }
            Fault::CutAnswer => {
                forward(&target, &request).await;
                return;
            }
            Fault::NoLines => {
                forward(&target, &request).await;
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()
            }
            Fault::None => forward(&target, &request).await,
        };
        if client.write_all(&answer).await.is_err() {
            return;
        }
    }
}

struct Message {
    head: String,
    body: Vec<u8>,
}

/// Reads one HTTP/1.1 request whose body has a length.
async fn read_message(stream: &mut TcpStream) -> Option<Message> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Message { head, body })
}

/// Sends a request on and gives the whole answer.
async fn forward(target: &str, request: &Message) -> Vec<u8> {
    let mut lines = request.head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = words.next().and_then(|method| method.parse().ok()).unwrap_or_default();
    let url = format!("http://{target}{}", words.next().unwrap_or_default());
    let key = lines.find_map(|line| line.strip_prefix("x-typesense-api-key: ")).unwrap_or_default();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let sent = http.request(method, url).header("x-typesense-api-key", key).body(request.body.clone()).send().await;
    let Ok(answer) = sent else { return Vec::new() };
    let status = answer.status();
    let Ok(body) = answer.bytes().await else { return Vec::new() };
    [format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat()
}
