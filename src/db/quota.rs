//! Quota: what an organization may still use of its plan this month, and its wallet beyond that.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// An organization's month so far.
#[derive(Clone, Copy, Debug, PartialEq, FromRow)]
pub struct Month {
    /// Units used, this request's included.
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
        "insert into tidewell.usage (organization_id, month, used)
         select organizations.id, date_trunc('month', now() at time zone 'utc'), $2
         from tidewell.organizations join tidewell.plans on plans.name = organizations.plan
         where organizations.id = $1 and $2 <= coalesce(monthly_units, 9223372036854775807)
         on conflict (organization_id, month) do update set used = usage.used + excluded.used
         where usage.used + excluded.used <= (
             select coalesce(monthly_units, 9223372036854775807)
             from tidewell.organizations join tidewell.plans on plans.name = organizations.plan
             where organizations.id = usage.organization_id)
         returning used, (select monthly_units from tidewell.organizations join tidewell.plans
                          on plans.name = organizations.plan where organizations.id = $1) as limit,
                   (month + interval '1 month') at time zone 'utc' as resets_at,
                ceil(extract(epoch from month + interval '1 month' - now() at time zone 'utc'))::bigint as resets_in_seconds",
    )
    .bind(organization_id)
    .bind(units)
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
             insert into tidewell.usage (organization_id, month, used)
             values ($1, date_trunc('month', now() at time zone 'utc'), 0)
             on conflict (organization_id, month) do update set used = usage.used
             returning used, month
         )
         select overage_enabled, overage_minor_per_thousand, used, monthly_units as limit,
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
        "update tidewell.usage set used = $2
         where organization_id = $1 and month = date_trunc('month', now() at time zone 'utc')",
    )
    .bind(organization_id)
    .bind(used)
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
        "select coalesce(used, 0) as used, monthly_units as limit,
                (date_trunc('month', now() at time zone 'utc') + interval '1 month') at time zone 'utc' as resets_at,
                ceil(extract(epoch from date_trunc('month', now() at time zone 'utc') + interval '1 month' - now() at time zone 'utc'))::bigint as resets_in_seconds
         from tidewell.organizations join tidewell.plans on plans.name = organizations.plan
         left join tidewell.usage on usage.organization_id = organizations.id
               and usage.month = date_trunc('month', now() at time zone 'utc')
         where organizations.id = $1",
    )
    .bind(organization_id)
    .fetch_optional(conn)
    .await
}
