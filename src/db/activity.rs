//! What went through, minute by minute.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgPool};

/// Minutes that are told of.
const MINUTES: i64 = 60;

/// Totals as they were at the beginning of a minute.
#[derive(Clone, Copy, Debug, FromRow)]
struct Sample {
    minute: DateTime<Utc>,
    accepted: i64,
    projected: i64,
    synced: i64,
    died: i64,
}

/// What went through in the last hour: a value for each minute, the oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// Writes accepted a second.
    pub accepted: Vec<f64>,
    /// Writes settled a second.
    pub projected: Vec<f64>,
    /// Rows of sync jobs written or deleted a second.
    pub synced: Vec<f64>,
    /// Dead letters a minute.
    pub died: Vec<f64>,
}

/// Notes the totals, once a minute, whoever asks and however often.
pub async fn sample(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.activity (minute, accepted, projected, synced, died)
         select this.minute, (select coalesce(sum(accepted), 0) from tidewell.backlogs),
                (select coalesce(sum(settled), 0) from tidewell.lanes), (select coalesce(sum(synced), 0) from tidewell.sync_states),
                (select count(*) from tidewell.dead_letters
                 where id >= tidewell.first_id_at(before.minute) and id < tidewell.first_id_at(this.minute))
         from (select date_trunc('minute', now()) as minute) as this
         cross join lateral (
             select coalesce(max(minute), this.minute - interval '1 minute') as minute from tidewell.activity
         ) as before
         where before.minute < this.minute
         on conflict (minute) do nothing",
    )
    .execute(pool)
    .await
    .map(drop)
}

/// The last hour, up to the last minute that has ended.
pub async fn last_hour(pool: &PgPool) -> Result<Activity, sqlx::Error> {
    let end: DateTime<Utc> = sqlx::query_scalar("select date_trunc('minute', now())").fetch_one(pool).await?;
    // The one before the hour, too: what went through is told by two of them.
    let samples: Vec<Sample> = sqlx::query_as(
        "select minute, accepted, projected, synced, died from tidewell.activity
         where minute >= coalesce((select max(minute) from tidewell.activity where minute <= $1), '-infinity')
         order by minute",
    )
    .bind(end - TimeDelta::minutes(MINUTES))
    .fetch_all(pool)
    .await?;
    Ok(told(&samples, end))
}

/// Between two samples that are further apart, because no worker lived, what went through is spread evenly.
fn told(samples: &[Sample], end: DateTime<Utc>) -> Activity {
    let nothing = || vec![0.0; MINUTES as usize];
    let mut activity = Activity { accepted: nothing(), projected: nothing(), synced: nothing(), died: nothing() };
    for pair in samples.windows(2) {
        let [before, after] = pair else { continue };
        let minutes = (after.minute - before.minute).num_minutes().max(1);
        let spread = |all: i64| all.max(0) as f64 / minutes as f64;
        // A minute is known by its end.
        let last = MINUTES - (end - after.minute).num_minutes();
        for place in (last - minutes..last).filter_map(|place| usize::try_from(place).ok()) {
            let Some(accepted) = activity.accepted.get_mut(place) else { continue };
            *accepted = spread(after.accepted - before.accepted) / 60.0;
            activity.projected[place] = spread(after.projected - before.projected) / 60.0;
            activity.synced[place] = spread(after.synced - before.synced) / 60.0;
            activity.died[place] = spread(after.died);
        }
    }
    activity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(minute: i64, total: i64) -> Sample {
        let minute = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        Sample { minute, accepted: total, projected: total / 2, synced: 0, died: 3 }
    }

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    #[test]
    fn a_minute_has_what_came_between_its_ends() {
        let activity = told(&[sample(98, 0), sample(99, 600), sample(100, 1800)], at(100));
        assert_eq!((activity.accepted[58], activity.accepted[59], activity.projected[59]), (10.0, 20.0, 10.0));
        assert_eq!((activity.accepted[57], activity.died[59], activity.accepted.len()), (0.0, 3.0, 60));
    }

    #[test]
    fn a_gap_is_spread_over_its_minutes_and_what_lies_before_the_hour_is_left_out() {
        let activity = told(&[sample(30, 0), sample(50, 12_000)], at(100));
        assert_eq!((activity.accepted[0], activity.accepted[9], activity.accepted[10]), (10.0, 10.0, 0.0));
    }

    #[test]
    fn an_index_that_was_deleted_makes_nothing_negative() {
        assert_eq!(told(&[sample(99, 600), sample(100, 0)], at(100)).accepted[59], 0.0);
        assert_eq!(told(&[], at(100)).accepted, vec![0.0; 60]);
    }
}
