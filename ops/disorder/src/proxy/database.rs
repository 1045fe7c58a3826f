//! A proxy before PostgreSQL: it cuts connections, holds back what passes, and makes noise of it.

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
    /// Counts the noises: the next answer of a connection is one.
    noises: watch::Sender<u64>,
}

/// What comes instead of an answer. No message begins so, no text contains it, and a length would be negative: it can't be taken for
/// another good answer.
const NOISE: [u8; 64] = [0xff; 64];

impl DatabaseProxy {
    /// A proxy before the server on this port of 127.0.0.1.
    pub(crate) async fn before(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (cuts, cut) = watch::channel(0);
        let (stalled_until, stalled) = watch::channel(None);
        let (noises, noise) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut cut, stalled, mut noise) = (cut.clone(), stalled.clone(), noise.clone());
                tokio::spawn(async move {
                    cut.borrow_and_update();
                    noise.borrow_and_update();
                    let server = TcpStream::connect(("127.0.0.1", port)).await?;
                    server.set_nodelay(true)?;
                    client.set_nodelay(true)?;
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::select! {
                        ended = pass(from_client, to_server, stalled.clone(), None) => ended,
                        ended = pass(from_server, to_client, stalled, Some(noise)) => ended,
                        _ = cut.changed() => Ok(()),
                    }
                });
            }
        });
        Ok(Self { address, cuts, stalled_until, noises })
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

    /// Makes noise of what each connection is answered next, and cuts it.
    pub(crate) fn garble(&self) {
        self.noises.send_modify(|noises| *noises += 1);
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
    noise: Option<watch::Receiver<u64>>,
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
        if noise.as_ref().is_some_and(|noise| noise.has_changed().unwrap_or(false)) {
            return to.write_all(&NOISE).await;
        }
        to.write_all(&bytes[..read]).await?;
    }
}
