//! A proxy before the database that cuts off whoever listens for changes there, as a broken network does: without a word.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

/// What a front end that listens for changes says, and no other connection.
const LISTENS: &[u8] = b"LISTEN \"tidewell_changed\"";

pub struct DatabaseProxy {
    pub url: String,
    cut: watch::Sender<bool>,
    listening: watch::Receiver<usize>,
}

impl DatabaseProxy {
    /// A proxy before the database at this URL.
    pub async fn before(url: &str) -> Self {
        let mut through: reqwest::Url = url.parse().expect("a URL");
        let target = format!("{}:{}", through.host_str().expect("a host"), through.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        through.set_ip_host(address.ip()).expect("a host");
        through.set_port(Some(address.port())).expect("a port");
        let (cut, is_cut) = watch::channel(false);
        let (listens, listening) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, is_cut, listens) = (target.clone(), is_cut.clone(), listens.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(target).await?;
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    let (is_listener, known) = watch::channel(false);
                    let there =
                        pass(from_client, to_server, is_cut.clone(), known.clone(), Some((is_listener, listens)));
                    let back = pass(from_server, to_client, is_cut, known, None);
                    tokio::select! { ended = there => ended, ended = back => ended }
                });
            }
        });
        Self { url: through.into(), cut, listening }
    }

    /// From now on nothing gets through between the database and whoever listens; their connections stay open.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub fn mend(&self) {
        self.cut.send_replace(false);
    }

    /// Waits until so many connections have asked to listen.
    pub async fn listening(&mut self, times: usize) {
        self.listening.wait_for(|listening| *listening >= times).await.expect("the proxy runs");
    }
}

/// Passes bytes on. `watched` is told where they are a listener's.
async fn pass(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut is_cut: watch::Receiver<bool>,
    is_listener: watch::Receiver<bool>,
    watched: Option<(watch::Sender<bool>, watch::Sender<usize>)>,
) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        if let Some((is_listener, listens)) = &watched
            && bytes[..read].windows(LISTENS.len()).any(|window| window == LISTENS)
        {
            is_listener.send_replace(true);
            listens.send_modify(|times| *times += 1);
        }
        if *is_listener.borrow() {
            is_cut.wait_for(|cut| !cut).await.map_err(io::Error::other)?;
        }
        to.write_all(&bytes[..read]).await?;
    }
}
