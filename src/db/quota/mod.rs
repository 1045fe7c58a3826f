//! Quota: what an organization may still use of its plan this month, and its wallet beyond that.
//!
//! Locks, in this order everywhere: the month, the organization.

mod account;
pub mod reservation;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::organization;

/// Slots that the month of an organization without a cap is spread over. A connection always uses the same one.
pub(super) const SLOTS: i32 = 16;

/// The slot of `usage` that a connection counts in: 0 under a plan with a cap, else one of so many others.
macro_rules! slot {
    ($slots:literal) => {
        concat!("case when monthly_units is null then 1 + pg_backend_pid() % ", $slots, " else 0 end")
    };
}

/// The last two columns of a [`Month`], from a column `month`.
macro_rules! resets {
    () => {
        "(month + interval '1 month') at time zone 'utc' as resets_at,
         ceil(extract(epoch from month + interval '1 month' - now() at time zone 'utc'))::bigint as resets_in_seconds"
    };
}

pub use account::{Consumed, consume};
pub(super) use {resets, slot};

/// An organization's month so far.
#[derive(Clone, Copy, Debug, PartialEq, FromRow)]
pub struct Month {
    /// Units used, this request's included; under a plan without a cap only some of them, where the month is the answer to a write.
    pub used: i64,
    /// `None`: no cap.
    pub limit: Option<i64>,
    /// When the next month begins, UTC.
    pub resets_at: DateTime<Utc>,
    pub resets_in_seconds: i64,
}

/// Locks an organization's usage and then itself, to give it another plan or its plan other caps. [`gather`] comes after that.
pub async fn lock_for_change(conn: &mut PgConnection, organization_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("select from tidewell.usage where organization_id = $1 order by month, slot for update")
        .bind(organization_id)
        .execute(&mut *conn)
        .await?;
    organization::lock(conn, organization_id).await
}

/// Brings what an organization has used into the slot of a plan with a cap, where its plan has one. Whoever gives it another plan
/// does this in the same transaction, after that. What was used beyond the new cap before it came is not charged.
pub async fn gather(conn: &mut PgConnection, organization_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with gathered as (
             delete from tidewell.usage
             where organization_id = $1 and slot <> 0
               and (select monthly_units is not null
                    from tidewell.organizations join tidewell.plans on plans.name = organizations.plan
                    where organizations.id = $1)
             returning month, used
         )
         insert into tidewell.usage (organization_id, month, slot, used)
         select $1, month, 0, sum(used) from gathered group by month
         on conflict (organization_id, month, slot) do update set used = usage.used + excluded.used",
    )
    .bind(organization_id)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "update tidewell.usage
         set overage_thousands = greatest(overage_thousands, (used - monthly_units + 999) / 1000)
         from tidewell.organizations join tidewell.plans on plans.name = organizations.plan
         where organizations.id = $1 and organization_id = $1 and slot = 0 and used > monthly_units",
    )
    .bind(organization_id)
    .execute(conn)
    .await
    .map(drop)
}

/// The organization's month as it stands; units that front ends hold for searches to come are not counted as used.
pub async fn month(pool: &PgPool, organization_id: Uuid) -> Result<Option<Month>, sqlx::Error> {
    sqlx::query_as(concat!(
        "with month as (select date_trunc('month', now() at time zone 'utc')::date as month)
         select ((select coalesce(sum(used), 0) from tidewell.usage
                  where organization_id = $1 and usage.month = month.month)
               - (select coalesce(sum(units - spent), 0) from tidewell.reservations
                  where organization_id = $1 and reservations.month = month.month
                    and renewed_at > now() - make_interval(secs => $2)))::bigint as used,
                monthly_units as limit, ",
        resets!(),
        " from tidewell.organizations join tidewell.plans on plans.name = organizations.plan cross join month
         where organizations.id = $1"
    ))
    .bind(organization_id)
    .bind(reservation::LIVES.as_secs_f64())
    .fetch_optional(pool)
    .await
}
