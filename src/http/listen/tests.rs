use axum::routing::get;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    task::JoinHandle,
};

use super::*;

const GET: &[u8] = b"GET /now HTTP/1.1\r\nhost: t\r\n\r\n";
/// Bytes of an answer: more than lies between two ends of a connection.
const LARGE: usize = 32 << 20;
const GET_LATER: &[u8] = b"GET /later HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n";

/// A port, at which `/later` says that it has `begun`, and is answered when `go` says so.
struct Port {
    address: std::net::SocketAddr,
    begun: &'static Notify,
    go: &'static Notify,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Port {
    async fn open(connections: usize, patience: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let [begun, go]: [&'static Notify; 2] = [Box::leak(Box::default()), Box::leak(Box::default())];
        let shutdown = CancellationToken::new();
        let later = async || {
            begun.notify_one();
            go.notified().await;
            "later"
        };
        let routes = Router::new()
            .route("/now", get(async || "now"))
            .route("/large", get(async || vec![b'x'; LARGE]))
            .route("/later", get(later));
        let bounds = Bounds { connections, idle: patience, head: patience, stall: patience };
        let serving = tokio::spawn(serve(listener, routes, bounds, shutdown.clone()));
        Self { address, begun, go, shutdown, serving }
    }

    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(bytes).await.expect("sent");
        stream
    }
}

/// What comes until the connection ends.
async fn until_the_end(mut stream: TcpStream) -> String {
    let mut read = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut read).await;
    String::from_utf8(read).expect("text")
}

#[tokio::test]
async fn patience_ends_before_a_request_within_its_head_and_after_an_answer() {
    let port = Port::open(10, Duration::from_millis(100)).await;
    assert_eq!(until_the_end(port.send(b"").await).await, "");
    assert!(until_the_end(port.send(b"GET /now HT").await).await.starts_with("HTTP/1.1 408"));
    let answered = until_the_end(port.send(GET).await).await;
    assert!(answered.starts_with("HTTP/1.1 200") && answered.ends_with("now"), "{answered}");
}

#[tokio::test]
async fn a_slow_reader_has_time_for_its_answer_and_its_place_is_not_taken() {
    let patience = Duration::from_millis(800);
    let port = Port::open(1, patience).await;
    let mut slow = port.send(b"GET /large HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await;
    let mut part = vec![0; LARGE / 10];
    let mut read = slow.read(&mut part).await.expect("its beginning");
    let other = port.send(GET).await;
    // Less than the patience with a standstill between two looks, and all of them together more than that with an idle one.
    while let Ok(bytes @ 1..) = slow.read(&mut part).await {
        read += bytes;
        tokio::time::sleep(patience / 4).await;
    }
    assert!(read > LARGE, "{read}");
    assert!(until_the_end(other).await.ends_with("now"));
}

#[tokio::test]
async fn silent_connections_make_room_and_those_that_are_answered_do_not() {
    let port = Port::open(3, Duration::from_secs(600)).await;
    let answered = port.send(GET_LATER).await;
    port.begun.notified().await;
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(port.send(b"GET /no").await);
        assert!(
            until_the_end(port.send(b"GET /now HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await)
                .await
                .ends_with("now")
        );
    }
    port.go.notify_one();
    assert!(until_the_end(answered).await.ends_with("later"));
}

#[tokio::test]
async fn at_its_end_it_waits_for_answers_and_for_nobody_who_asks_nothing() {
    let port = Port::open(10, Duration::from_secs(600)).await;
    let mut served = port.send(GET).await;
    let mut first = [0; 15];
    served.read_exact(&mut first).await.expect("an answer");
    let answered = port.send(GET_LATER).await;
    port.begun.notified().await;
    port.shutdown.cancel();
    assert!(until_the_end(served).await.ends_with("now"));
    assert!(!port.serving.is_finished());
    port.go.notify_one();
    assert!(until_the_end(answered).await.ends_with("later"));
    port.serving.await.expect("an end");
}
