//! A proxy before PostgreSQL: it cuts connections, and holds back what passes.

use std::{io, time::Duration};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    time::Instant,
};

pub(crate) struct DatabaseProxy {
    address: std::net::SocketAddr,
    /// Counts the cuts: a connection ends with the next one.
    cuts: watch::Sender<u64>,
    stalled_until: watch::Sender<Option<Instant>>,
}

impl DatabaseProxy {
    /// A proxy before the server on this port of 127.0.0.1.
    pub(crate) async fn before(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (cuts, cut) = watch::channel(0);
        let (stalled_until, stalled) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut cut, stalled) = (cut.clone(), stalled.clone());
                tokio::spawn(async move {
                    cut.borrow_and_update();
                    let server = TcpStream::connect(("127.0.0.1", port)).await?;
                    server.set_nodelay(true)?;
                    client.set_nodelay(true)?;
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::select! {
                        ended = pass(from_client, to_server, stalled.clone()) => ended,
                        ended = pass(from_server, to_client, stalled) => ended,
                        _ = cut.changed() => Ok(()),
                    }
                });
            }
        });
        Ok(Self { address, cuts, stalled_until })
    }

    /// The same database through this proxy.
    pub(crate) fn through(&self, url: &str) -> anyhow::Result<String> {
        let mut through: reqwest::Url = url.parse()?;
        through.set_port(Some(self.address.port())).ok().context("a URL without a port")?;
        Ok(through.into())
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Passes nothing on for a while, and all of it then.
    pub(crate) fn stall(&self, lasting: Duration) {
        self.stalled_until.send_replace(Some(Instant::now() + lasting));
    }
}

async fn pass(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    stalled: watch::Receiver<Option<Instant>>,
) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        let until = *stalled.borrow();
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
        to.write_all(&bytes[..read]).await?;
    }
}
