//! The month and the wallet of one organization, held while it is decided what they cover.

use chrono::NaiveDate;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{Month, SLOTS, resets, slot};
use crate::db::organization;

/// The answer to a wish to use units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Consumed {
    Yes(Month),
    /// Nothing was written; `used` is without the units asked for.
    QuotaExceeded(Month),
}

impl Consumed {
    /// The month, whatever the answer.
    pub fn month(self) -> Month {
        match self {
            Self::Yes(month) | Self::QuotaExceeded(month) => month,
        }
    }
}

/// Uses `units` of the organization's month, or of its wallet where overage is switched on: all of them or none.
///
/// To be the last thing before the commit: it locks the month and the organization. [`accept::count`](crate::db::accept::count) does
/// the same for a month that has begun and has room.
pub async fn consume(
    conn: &mut PgConnection,
    organization_id: Uuid,
    units: i64,
    job_id: Uuid,
) -> Result<Consumed, sqlx::Error> {
    let account = Account::lock(conn, organization_id).await?;
    let Some(charge) = account.charge(units) else { return Ok(Consumed::QuotaExceeded(account.month)) };
    if charge.price_minor > 0 {
        if !account.set_aside(conn, charge).await? {
            return Ok(Consumed::QuotaExceeded(account.month));
        }
        note(conn, organization_id, Entry::Reserve, charge.price_minor, Some(job_id)).await?;
        commit(conn, organization_id, charge.price_minor, Some(job_id)).await?;
    }
    account.add(conn, units, charge.thousands).await?;
    Ok(Consumed::Yes(Month { used: account.month.used + units, ..account.month }))
}

/// What decides whether units may be used, locked until the transaction ends.
pub(super) struct Account {
    organization_id: Uuid,
    overage_enabled: bool,
    overage_minor_per_thousand: i64,
    pub(super) row: Row,
    pub(super) month: Month,
}

/// What the organization's plan says of a month.
#[derive(FromRow)]
struct Plan {
    overage_enabled: bool,
    overage_minor_per_thousand: i64,
    slot: i32,
    #[sqlx(flatten)]
    month: Month,
    begins: NaiveDate,
}

impl Plan {
    async fn read(
        conn: &mut PgConnection,
        organization_id: Uuid,
        month: Option<NaiveDate>,
    ) -> Result<Self, sqlx::Error> {
        sqlx::query_as(concat!(
            "select overage_enabled, overage_minor_per_thousand, month as begins, 0::bigint as used, monthly_units as limit, ",
            slot!("$3"),
            " as slot, ",
            resets!(),
            " from tidewell.organizations join tidewell.plans on plans.name = organizations.plan
             cross join (select coalesce($2, date_trunc('month', now() at time zone 'utc')::date)) as begun (month)
             where organizations.id = $1"
        ))
        .bind(organization_id)
        .bind(month)
        .bind(SLOTS)
        .fetch_one(conn)
        .await
    }
}

/// The month's row in `usage`.
#[derive(Clone, Copy, FromRow)]
pub(super) struct Row {
    pub(super) month: NaiveDate,
    slot: i16,
    used: i64,
    /// Thousands beyond the cap that are paid for.
    pub(super) overage_thousands: i64,
}

impl Row {
    async fn lock(conn: &mut PgConnection, organization_id: Uuid, plan: &Plan) -> Result<Self, sqlx::Error> {
        loop {
            let row = sqlx::query_as(
                "select month, slot, used, overage_thousands from tidewell.usage
                 where organization_id = $1 and month = $2 and slot = $3 for update",
            )
            .bind(organization_id)
            .bind(plan.begins)
            .bind(plan.slot)
            .fetch_optional(&mut *conn)
            .await?;
            if let Some(row) = row {
                return Ok(row);
            }
            sqlx::query(
                "insert into tidewell.usage (organization_id, month, slot, used) values ($1, $2, $3, 0)
                 on conflict do nothing",
            )
            .bind(organization_id)
            .bind(plan.begins)
            .bind(plan.slot)
            .execute(&mut *conn)
            .await?;
        }
    }
}

/// What units cost beyond the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Charge {
    pub(super) thousands: i64,
    pub(super) price_minor: i64,
}

impl Account {
    /// Locks this month, which begins where it hasn't begun, and then the organization: its plan stays what it is, and two requests
    /// can't pay for the same thousand. In this order, because [`accept::count`](crate::db::accept::count) may have locked the month.
    pub(super) async fn lock(conn: &mut PgConnection, organization_id: Uuid) -> Result<Self, sqlx::Error> {
        Self::lock_month(conn, organization_id, None).await
    }

    /// As [`Account::lock`], for a month that may have ended.
    pub(super) async fn lock_month(
        conn: &mut PgConnection,
        organization_id: Uuid,
        month: Option<NaiveDate>,
    ) -> Result<Self, sqlx::Error> {
        let mut plan = Plan::read(conn, organization_id, month).await?;
        loop {
            let row = Row::lock(conn, organization_id, &plan).await?;
            organization::lock(conn, organization_id).await?;
            // What was read before the lock may have changed, and with the plan the slot.
            plan = Plan::read(conn, organization_id, month).await?;
            if plan.slot == i32::from(row.slot) && plan.begins == row.month {
                return Ok(Self {
                    organization_id,
                    overage_enabled: plan.overage_enabled,
                    overage_minor_per_thousand: plan.overage_minor_per_thousand,
                    row,
                    month: Month { used: row.used, ..plan.month },
                });
            }
        }
    }

    /// Units that are left of the plan, or of a thousand beyond it that is paid for; `None`: no cap.
    pub(super) fn left(&self) -> Option<i64> {
        let cap = self.month.limit?;
        let paid = if self.overage_enabled { 1000 * self.row.overage_thousands } else { 0 };
        Some((cap + paid - self.row.used).max(0))
    }

    /// What `units` more cost; `None` where the plan has no room for them and overage is switched off.
    pub(super) fn charge(&self, units: i64) -> Option<Charge> {
        let begun = self.thousands_beyond(self.row.used.saturating_add(units));
        if begun > 0 && !self.overage_enabled {
            return None;
        }
        let thousands = (begun - self.row.overage_thousands).max(0);
        Some(Charge { thousands, price_minor: thousands.saturating_mul(self.overage_minor_per_thousand) })
    }

    /// Thousands begun beyond the cap.
    pub(super) fn thousands_beyond(&self, used: i64) -> i64 {
        self.month.limit.map_or(0, |cap| ((used - cap).max(0) + 999) / 1000)
    }

    /// Takes a price out of what is free in the wallet; false, and nothing written, where that is less.
    pub(super) async fn set_aside(&self, conn: &mut PgConnection, charge: Charge) -> Result<bool, sqlx::Error> {
        let set_aside = sqlx::query(
            "update tidewell.organizations
             set wallet_minor = wallet_minor - $2, wallet_reserved_minor = wallet_reserved_minor + $2
             where id = $1 and wallet_minor >= $2",
        )
        .bind(self.organization_id)
        .bind(charge.price_minor)
        .execute(conn)
        .await?;
        Ok(set_aside.rows_affected() == 1)
    }

    /// Adds to what is used, or takes of it.
    pub(super) async fn add(&self, conn: &mut PgConnection, units: i64, thousands: i64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update tidewell.usage set used = used + $4, overage_thousands = overage_thousands + $5
             where organization_id = $1 and month = $2 and slot = $3",
        )
        .bind(self.organization_id)
        .bind(self.row.month)
        .bind(self.row.slot)
        .bind(units)
        .bind(thousands)
        .execute(conn)
        .await
        .map(drop)
    }
}

/// A line of the wallet's ledger about units beyond the plan.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry {
    /// Set aside.
    Reserve,
    /// What was set aside is spent.
    Commit,
    /// What was set aside is free again.
    Release,
}

/// Writes a line into the ledger.
pub(super) async fn note(
    conn: &mut PgConnection,
    organization_id: Uuid,
    entry: Entry,
    price_minor: i64,
    job_id: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    let (kind, amount, reserved) = match entry {
        Entry::Reserve => ("reserve", -price_minor, price_minor),
        Entry::Commit => ("commit", 0, -price_minor),
        Entry::Release => ("release", price_minor, -price_minor),
    };
    sqlx::query(
        "insert into tidewell.wallet_entries (organization_id, kind, amount_minor, reserved_minor, job_id)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(organization_id)
    .bind(kind)
    .bind(amount)
    .bind(reserved)
    .bind(job_id)
    .execute(conn)
    .await
    .map(drop)
}

/// Spends what was set aside.
pub(super) async fn commit(
    conn: &mut PgConnection,
    organization_id: Uuid,
    price_minor: i64,
    job_id: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.organizations set wallet_reserved_minor = wallet_reserved_minor - $2 where id = $1")
        .bind(organization_id)
        .bind(price_minor)
        .execute(&mut *conn)
        .await?;
    note(conn, organization_id, Entry::Commit, price_minor, job_id).await
}
