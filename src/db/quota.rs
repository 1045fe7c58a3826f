//! Quota: what an organization may still use of its plan this month, and its wallet beyond that.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// Rows that the month of an organization without a cap is spread over. A connection always uses the same one.
const SLOTS: i32 = 64;

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

/// The answer to a wish to use units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Consumed {
    Yes(Month),
    /// Nothing was written; `used` is without the units asked for.
    QuotaExceeded(Month),
}

/// Uses `units` of the organization's month, or of its wallet where overage is switched on: all of them or none.
///
/// To be the last statement before the commit: it locks a row that every request of the organization wants.
pub async fn consume(
    conn: &mut PgConnection,
    organization_id: Uuid,
    units: i64,
    job_id: Uuid,
) -> Result<Consumed, sqlx::Error> {
    let within_plan = sqlx::query_as(
        "with plan as (
             select monthly_units as cap, date_trunc('month', now() at time zone 'utc')::date as month,
                    case when monthly_units is null then pg_backend_pid() % $3 else 0 end as slot
             from tidewell.organizations join tidewell.plans on plans.name = organizations.plan
             where organizations.id = $1
         ), others as (
             select coalesce(sum(used), 0) as used
             from tidewell.usage join plan using (month)
             where organization_id = $1 and usage.slot <> 0 and cap is not null
         )
         insert into tidewell.usage (organization_id, month, slot, used)
         select $1, month, slot, $2 from plan, others where cap is null or others.used + $2 <= cap
         on conflict (organization_id, month, slot) do update set used = usage.used + excluded.used
         where (select cap is null or others.used + usage.used + excluded.used <= cap from plan, others)
         returning (used + (select used from others))::bigint as used, (select cap from plan) as limit,
                   (month + interval '1 month') at time zone 'utc' as resets_at,
                   ceil(extract(epoch from month + interval '1 month' - now() at time zone 'utc'))::bigint as resets_in_seconds",
    )
    .bind(organization_id)
    .bind(units)
    .bind(SLOTS)
    .fetch_optional(&mut *conn)
    .await?;
    match within_plan {
        Some(month) => Ok(Consumed::Yes(month)),
        None => consume_beyond_plan(conn, organization_id, units, job_id).await,
    }
}

/// Units beyond the cap are paid from the wallet, a price for each thousand begun.
async fn consume_beyond_plan(
    conn: &mut PgConnection,
    organization_id: Uuid,
    units: i64,
    job_id: Uuid,
) -> Result<Consumed, sqlx::Error> {
    #[derive(FromRow)]
    struct Account {
        overage_enabled: bool,
        overage_minor_per_thousand: i64,
        #[sqlx(flatten)]
        month: Month,
    }
    // Whoever pays locks the month first, so that two requests can't pay for the same thousand, and the wallet second.
    let account: Account = sqlx::query_as(
        "with month as (
             insert into tidewell.usage (organization_id, month, slot, used)
             values ($1, date_trunc('month', now() at time zone 'utc'), 0, 0)
             on conflict (organization_id, month, slot) do update set used = usage.used
             returning used, month
         )
         select overage_enabled, overage_minor_per_thousand, monthly_units as limit,
                (used + (select coalesce(sum(used), 0) from tidewell.usage
                         where organization_id = $1 and usage.month = month.month and slot <> 0))::bigint as used,
                (month + interval '1 month') at time zone 'utc' as resets_at,
                ceil(extract(epoch from month + interval '1 month' - now() at time zone 'utc'))::bigint as resets_in_seconds
         from tidewell.organizations join tidewell.plans on plans.name = organizations.plan cross join month
         where organizations.id = $1",
    )
    .bind(organization_id)
    .fetch_one(&mut *conn)
    .await?;

    let month = account.month;
    let used = month.used + units;
    let thousands_beyond = |used: i64| ((used - month.limit.unwrap_or(i64::MAX)).max(0) + 999) / 1000;
    let price = (thousands_beyond(used) - thousands_beyond(month.used)) * account.overage_minor_per_thousand;
    if !account.overage_enabled && thousands_beyond(used) > 0 {
        return Ok(Consumed::QuotaExceeded(month));
    }
    if price > 0 && !pay(conn, organization_id, price, job_id).await? {
        return Ok(Consumed::QuotaExceeded(month));
    }
    sqlx::query(
        "update tidewell.usage set used = used + $2
         where organization_id = $1 and month = date_trunc('month', now() at time zone 'utc') and slot = 0",
    )
    .bind(organization_id)
    .bind(units)
    .execute(conn)
    .await?;
    Ok(Consumed::Yes(Month { used, ..month }))
}

/// Takes `price` from the wallet and writes it into the ledger; false, and nothing written, where the wallet holds less.
async fn pay(conn: &mut PgConnection, organization_id: Uuid, price: i64, job_id: Uuid) -> Result<bool, sqlx::Error> {
    let paid = sqlx::query(
        "with paid as (
             update tidewell.organizations set wallet_minor = wallet_minor - $2
             where id = $1 and wallet_minor >= $2
             returning id
         )
         insert into tidewell.wallet_entries (organization_id, amount_minor, reason, job_id)
         select id, -$2, 'overage', $3 from paid",
    )
    .bind(organization_id)
    .bind(price)
    .bind(job_id)
    .execute(conn)
    .await?;
    Ok(paid.rows_affected() == 1)
}

/// The organization's month as it stands.
pub async fn month(conn: &mut PgConnection, organization_id: Uuid) -> Result<Option<Month>, sqlx::Error> {
    sqlx::query_as(
        "select (select coalesce(sum(used), 0) from tidewell.usage
                 where organization_id = organizations.id
                   and month = date_trunc('month', now() at time zone 'utc'))::bigint as used,
                monthly_units as limit,
                (date_trunc('month', now() at time zone 'utc') + interval '1 month') at time zone 'utc' as resets_at,
                ceil(extract(epoch from date_trunc('month', now() at time zone 'utc') + interval '1 month'
                             - now() at time zone 'utc'))::bigint as resets_in_seconds
         from tidewell.organizations join tidewell.plans on plans.name = organizations.plan
         where organizations.id = $1",
    )
    .bind(organization_id)
    .fetch_optional(conn)
    .await
}
