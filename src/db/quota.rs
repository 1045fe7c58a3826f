//! Quota: what an organization may still use of its plan this month, and its wallet beyond that.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

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

/// The answer to a wish to use units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Consumed {
    Yes(Month),
    /// Nothing was written; `used` is without the units asked for.
    QuotaExceeded(Month),
}

/// Uses `units` of the organization's month, or of its wallet where overage is switched on: all of them or none.
///
/// To be the last statement before the commit: it locks the organization and its month. [`accept::count`](super::accept::count) does
/// the same for a month that has begun and has room.
pub async fn consume(
    conn: &mut PgConnection,
    organization_id: Uuid,
    units: i64,
    job_id: Uuid,
) -> Result<Consumed, sqlx::Error> {
    let account = Account::lock(conn, organization_id).await?;
    let month = account.month;
    let used = month.used + units;
    let thousands = account.thousands_beyond(used) - account.overage_thousands;
    if thousands > 0 {
        let price = thousands * account.overage_minor_per_thousand;
        if !account.overage_enabled || !pay(conn, organization_id, price, job_id).await? {
            return Ok(Consumed::QuotaExceeded(month));
        }
    }
    sqlx::query(
        "update tidewell.usage set used = used + $4, overage_thousands = overage_thousands + $5
         where organization_id = $1 and month = $2 and slot = $3",
    )
    .bind(organization_id)
    .bind(account.month_begins)
    .bind(account.slot)
    .bind(units)
    .bind(thousands.max(0))
    .execute(conn)
    .await?;
    Ok(Consumed::Yes(Month { used, ..month }))
}

/// What decides whether units may be used, held until the transaction ends.
#[derive(FromRow)]
struct Account {
    overage_enabled: bool,
    overage_minor_per_thousand: i64,
    overage_thousands: i64,
    month_begins: NaiveDate,
    slot: i16,
    #[sqlx(flatten)]
    month: Month,
}

impl Account {
    /// Begins the month where it hasn't begun. The organization is locked first: its plan stays what it is, and two requests can't
    /// pay for the same thousand.
    async fn lock(conn: &mut PgConnection, organization_id: Uuid) -> Result<Self, sqlx::Error> {
        sqlx::query("select from tidewell.organizations where id = $1 for no key update")
            .bind(organization_id)
            .execute(&mut *conn)
            .await?;
        sqlx::query_as(concat!(
            "with month as (
                 insert into tidewell.usage (organization_id, month, slot, used)
                 select id, date_trunc('month', now() at time zone 'utc'), ",
            slot!("$2"),
            ", 0
                 from tidewell.organizations join tidewell.plans on plans.name = organizations.plan
                 where id = $1
                 on conflict (organization_id, month, slot) do update set used = usage.used
                 returning *
             )
             select overage_enabled, overage_minor_per_thousand, overage_thousands, month as month_begins, slot, used,
                    monthly_units as limit, ",
            resets!(),
            " from tidewell.organizations join tidewell.plans on plans.name = organizations.plan cross join month
             where organizations.id = $1"
        ))
        .bind(organization_id)
        .bind(SLOTS)
        .fetch_one(conn)
        .await
    }

    /// Thousands begun beyond the cap.
    fn thousands_beyond(&self, used: i64) -> i64 {
        self.month.limit.map_or(0, |cap| ((used - cap).max(0) + 999) / 1000)
    }
}

/// Takes `price` from the wallet for units that are used at once, with its lines in the ledger; false, and nothing written, where the
/// wallet holds less.
async fn pay(conn: &mut PgConnection, organization_id: Uuid, price: i64, job_id: Uuid) -> Result<bool, sqlx::Error> {
    let paid = sqlx::query(
        "with paid as (
             update tidewell.organizations set wallet_minor = wallet_minor - $2
             where id = $1 and wallet_minor >= $2
             returning id
         )
         insert into tidewell.wallet_entries (organization_id, kind, amount_minor, reserved_minor, job_id)
         select id, kind, amount, reserved, $3
         from paid, (values (1, 'reserve', -$2, $2), (2, 'commit', 0, -$2)) as line (position, kind, amount, reserved)
         order by position",
    )
    .bind(organization_id)
    .bind(price)
    .bind(job_id)
    .execute(conn)
    .await?;
    Ok(paid.rows_affected() > 0)
}

/// Brings what an organization has used into the slot of a plan with a cap, where its plan has one. Whoever gives it another plan
/// does this in the same transaction, after that.
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
    .execute(conn)
    .await
    .map(drop)
}

/// The organization's month as it stands.
pub async fn month(pool: &PgPool, organization_id: Uuid) -> Result<Option<Month>, sqlx::Error> {
    sqlx::query_as(concat!(
        "with month as (select date_trunc('month', now() at time zone 'utc')::date as month)
         select (select coalesce(sum(used), 0) from tidewell.usage
                 where organization_id = organizations.id and usage.month = month.month)::bigint as used,
                monthly_units as limit, ",
        resets!(),
        " from tidewell.organizations join tidewell.plans on plans.name = organizations.plan cross join month
         where organizations.id = $1"
    ))
    .bind(organization_id)
    .fetch_optional(pool)
    .await
}
