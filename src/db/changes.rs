//! Changes of who may do what, told by the database as they are committed.

use std::time::Instant;

use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use uuid::Uuid;

use super::clock::Clock;

/// What the triggers in `sql/` notify.
const CHANGED: &str = "tidewell_changed";

/// A connection that listens.
pub struct Listener {
    listener: PgListener,
    /// A channel that nobody else listens to.
    own: String,
    beats: u64,
}

/// What a listener hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something has changed.
    Change,
    /// The latest beat: every change committed before it was sent has been heard.
    Beat,
}

impl Listener {
    /// Listens, on a connection of its own, to what is committed from now on.
    pub async fn connect(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let options = (*pool.connect_options()).clone().application_name("tidewell listener");
        let alone = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let mut listener = PgListener::connect_with(&alone.connect_lazy_with(options)).await?;
        let own = format!("tidewell_beat_{}", Uuid::new_v4().simple());
        listener.listen_all([CHANGED, &own]).await?;
        // A lost connection is told, never mended in silence: what was said meanwhile would be missed.
        listener.eager_reconnect(false);
        Ok(Self { listener, own, beats: 0 })
    }

    /// Sends the listener itself a notification: the database tells them in the order of their commits, so it comes after every
    /// change that was committed before. Gives the database's clock.
    pub async fn beat(&mut self) -> Result<Clock, sqlx::Error> {
        self.beats += 1;
        let asked = Instant::now();
        let now = sqlx::query_scalar("select clock_timestamp() from pg_notify($1, $2)")
            .bind(&self.own)
            .bind(self.beats.to_string())
            .fetch_one(&mut self.listener)
            .await?;
        Ok(Clock::new(now, asked))
    }

    /// The next to be heard; fails where the connection is lost. May be given up at any time without a loss.
    pub async fn hear(&mut self) -> Result<Heard, sqlx::Error> {
        loop {
            let heard = self.listener.try_recv().await?;
            let heard = heard.ok_or_else(|| sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into()))?;
            if heard.channel() == CHANGED {
                return Ok(Heard::Change);
            }
            if heard.payload() == self.beats.to_string() {
                return Ok(Heard::Beat);
            }
        }
    }
}
