//! Since when rows may have changed unseen.

use chrono::{DateTime, Utc};

use super::{Error, Source};

/// How far the clock of a program that writes the cursor column may be behind the database's.
const MARGIN: &str = "1 minute";
/// A timestamp without a time zone may be of any: as far as two zones can be apart, and then some.
const ANY_ZONE: &str = "27 hours";

impl Source {
    /// The moment before which everything that a cursor column says is committed and can be seen now: the start of the oldest
    /// transaction that is open. `None` where that can't be known, because this role may not see what others do.
    pub async fn settled_since(&mut self, has_time_zone: bool) -> Result<Option<DateTime<Utc>>, Error> {
        sqlx::query_scalar(
            // A standby does not know of its primary's transactions.
            "select case when not bool_or(is_hidden) and not pg_is_in_recovery() then min(began) - $1::interval end
             from (
                 select coalesce(xact_start, now()) as began,
                        -- Of sessions that this role may not see, the type is hidden, too.
                        coalesce(backend_type = 'client backend', true)
                            and coalesce(query = '<insufficient privilege>' or state = 'disabled', true) as is_hidden
                 from pg_catalog.pg_stat_activity
                 where datname = current_database()
                 union all
                 -- When it was prepared is known, when it began is not.
                 select now(), true from pg_catalog.pg_prepared_xacts where database = current_database()
             ) as open",
        )
        .persistent(false)
        .bind(if has_time_zone { MARGIN } else { ANY_ZONE })
        .fetch_one(&mut self.conn)
        .await
        .map_err(Error::of)
    }
}
