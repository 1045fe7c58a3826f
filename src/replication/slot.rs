//! The slot: the source's memory of how far the stream was confirmed. It keeps all of the source's log from there on, whichever
//! tables that is about, so whoever makes one must see to it that it moves or is dropped.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::Error;

/// A slot can be made once the transactions that are open have ended; so long that is waited for.
const MADE_WITHIN: &str = "set local statement_timeout = '30s'";
/// What a reader that was told to end may take.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// What there is by a slot's name.
pub(super) enum Slot {
    Ready,
    /// Somebody makes it just now: what happens until that is done it will not tell.
    BeingMade,
    /// It can't be read any more, and why.
    Lost(String),
    /// It is of another kind or of another database.
    Elsewhere,
}

impl Slot {
    pub(super) async fn find(source: &mut PgConnection, name: &str) -> Result<Option<Self>, Error> {
        // What newer versions tell beside the state is read by way of JSON, where older ones have nothing.
        const FIND: &str = "select coalesce(plugin = 'pgoutput' and database = current_database(), false),
                wal_status = 'lost' or restart_lsn is null or to_jsonb(s) ->> 'invalidation_reason' is not null
                    or coalesce((to_jsonb(s) ->> 'conflicting')::boolean, false),
                confirmed_flush_lsn is null, coalesce(to_jsonb(s) ->> 'invalidation_reason', wal_status, 'unknown')
            from pg_replication_slots as s where slot_name = $1";
        let found: Option<(bool, Option<bool>, bool, String)> =
            sqlx::query_as(FIND).bind(name).fetch_optional(source).await?;
        Ok(found.map(|found| match found {
            (false, ..) => Self::Elsewhere,
            (true, Some(true), _, reason) => Self::Lost(reason),
            (true, _, true, _) => Self::BeingMade,
            (true, _, false, _) => Self::Ready,
        }))
    }
}

/// Makes a slot that keeps every change from now on.
pub(super) async fn make(source: &mut PgConnection, name: &str) -> Result<(), Error> {
    let mut tx = source.begin().await?;
    sqlx::query(MADE_WITHIN).execute(&mut *tx).await?;
    let made =
        sqlx::query("select pg_create_logical_replication_slot($1, 'pgoutput')").bind(name).execute(&mut *tx).await;
    match made.map_err(Error::from) {
        Ok(_) => Ok(tx.commit().await?),
        Err(Error::Refused { code, .. }) if code == "57014" => Err(Error::Waiting),
        Err(Error::Refused { code, message }) if code == "53400" => Err(Error::Setup(format!(
            "{message}: drop a slot that nobody needs (`select * from pg_replication_slots`), or run \
             `alter system set max_replication_slots = …` and restart the source"
        ))),
        Err(error) => Err(error),
    }
}

/// Drops a slot, and tells whether there was one. A reader that still holds it is ended if `terminate` says so.
///
/// # Errors
/// [`Error::SlotInUse`] while a reader holds it.
pub async fn drop_slot(source: &mut PgConnection, name: &str, terminate: bool) -> Result<bool, Error> {
    const TERMINATE: &str = "select pg_terminate_backend(active_pid) from pg_replication_slots
        where slot_name = $1 and active_pid is not null";
    const DROP: &str = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1";
    let give_up = tokio::time::Instant::now() + ENDS_WITHIN;
    loop {
        if terminate {
            sqlx::query(TERMINATE).bind(name).execute(&mut *source).await?;
        }
        let dropped = sqlx::query(DROP).bind(name).execute(&mut *source).await.map_err(Error::from);
        match dropped.map_err(|error| error.of_slot(name)) {
            Ok(dropped) => return Ok(dropped.rows_affected() > 0),
            // Dropped by somebody else meanwhile.
            Err(error) if error.code() == Some("42704") => return Ok(false),
            Err(Error::SlotInUse(_)) if terminate && tokio::time::Instant::now() < give_up => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What a slot costs its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBack {
    /// Of log that is kept for it, of all tables. It shrinks a while after a position was confirmed, when the source next looks at
    /// what it may remove.
    pub bytes: i64,
    /// Somebody reads from it.
    pub active: bool,
}

/// What this slot costs now; `None` where there is no such slot.
///
/// # Errors
/// See [`Error`].
pub async fn held_back(source: &mut PgConnection, name: &str) -> Result<Option<HeldBack>, Error> {
    const LOOK: &str = "select coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint, active
        from pg_replication_slots where slot_name = $1";
    let found: Option<(i64, bool)> = sqlx::query_as(LOOK).bind(name).fetch_optional(source).await?;
    Ok(found.map(|(bytes, active)| HeldBack { bytes, active }))
}
