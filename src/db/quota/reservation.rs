//! Units taken ahead, for searches: what they spend needs no write in their path.

use std::time::Duration;

use chrono::NaiveDate;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Month,
    account::{Account, Entry, commit, note},
};

/// How long after its last renewal a reservation is taken to be that of a living front end.
pub const LIVES: Duration = Duration::from_secs(30);
/// What is left of a month is never taken by one front end at once, so that the others find some of it.
const SHARE: i64 = 16;

/// Units that a front end may spend until the month ends.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The reservation that they are in.
    pub id: Uuid,
    pub units: i64,
    /// The month with these units used.
    pub month: Month,
}

/// The answer to a wish to reserve units.
#[derive(Clone, Copy, Debug)]
pub enum Reserved {
    Yes(Grant),
    /// Not even as many as are needed; nothing was written.
    QuotaExceeded(Month),
}

/// Takes at least `needed` units out of the organization's month, or of its wallet where overage is switched on, and up to `wanted`
/// where there is plenty. They are added to the reservation `into`, if it is one of this month, or else make a new one.
pub async fn reserve(
    pool: &PgPool,
    organization_id: Uuid,
    into: Option<Uuid>,
    needed: i64,
    wanted: i64,
) -> Result<Reserved, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let account = Account::lock(&mut tx, organization_id).await?;
    let units = account.left().map_or(wanted, |left| wanted.min(left / SHARE)).max(needed);
    let Some(charge) = account.charge(units) else { return Ok(Reserved::QuotaExceeded(account.month)) };
    if charge.price_minor > 0 {
        if !account.set_aside(&mut tx, charge).await? {
            return Ok(Reserved::QuotaExceeded(account.month));
        }
        note(&mut tx, organization_id, Entry::Reserve, charge.price_minor, None).await?;
    }
    account.add(&mut tx, units, charge.thousands).await?;
    let id = sqlx::query_scalar(
        "with extended as (
             update tidewell.reservations
             set units = units + $5, thousands = thousands + $6, price_minor = price_minor + $7, renewed_at = now()
             where id = $2 and month = $4
             returning id
         ), made as (
             insert into tidewell.reservations (id, organization_id, month, units, thousands, price_minor)
             select $3, $1, $4, $5, $6, $7 where not exists (select from extended)
             returning id
         )
         select id from extended union all select id from made",
    )
    .bind(organization_id)
    .bind(into)
    .bind(Uuid::now_v7())
    .bind(account.row.month)
    .bind(units)
    .bind(charge.thousands)
    .bind(charge.price_minor)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    let month = Month { used: account.month.used + units, ..account.month };
    Ok(Reserved::Yes(Grant { id, units, month }))
}

/// Writes down how much of reservations is spent, and that their front end lives.
pub async fn renew(pool: &PgPool, spent: &[(Uuid, i64)]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.reservations set spent = counted.spent, renewed_at = now()
         from unnest($1::uuid[], $2::bigint[]) as counted (id, spent)
         where reservations.id = counted.id",
    )
    .bind(spent.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(spent.iter().map(|(_, spent)| *spent).collect::<Vec<_>>())
    .execute(pool)
    .await
    .map(drop)
}

/// Ends a reservation: what was not spent of it goes back into its month, and money for a thousand that nobody began goes back into
/// the wallet.
pub async fn end(pool: &PgPool, organization_id: Uuid, id: Uuid, spent: i64) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    end_held(&mut tx, organization_id, id, Some(spent)).await?;
    tx.commit().await
}

/// Ends the reservations of front ends that were killed. Nobody knows how much of them was spent: all of it counts.
pub async fn end_abandoned(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let abandoned: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select organization_id, id from tidewell.reservations where renewed_at < now() - make_interval(secs => $1)",
    )
    .bind(LIVES.as_secs_f64())
    .fetch_all(pool)
    .await?;
    for (organization_id, id) in &abandoned {
        let mut tx = pool.begin().await?;
        end_held(&mut tx, *organization_id, *id, None).await?;
        tx.commit().await?;
    }
    Ok(abandoned.len() as u64)
}

async fn end_held(
    conn: &mut PgConnection,
    organization_id: Uuid,
    id: Uuid,
    spent: Option<i64>,
) -> Result<(), sqlx::Error> {
    #[derive(FromRow)]
    struct Held {
        units: i64,
        thousands: i64,
        price_minor: i64,
    }
    let month: Option<NaiveDate> = sqlx::query_scalar("select month from tidewell.reservations where id = $1")
        .bind(id)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(month) = month else { return Ok(()) };
    let account = Account::lock_month(conn, organization_id, Some(month)).await?;
    let held: Option<Held> = sqlx::query_as(
        "delete from tidewell.reservations
         where id = $1 and ($2 or renewed_at < now() - make_interval(secs => $3))
         returning units, thousands, price_minor",
    )
    .bind(id)
    .bind(spent.is_some())
    .bind(LIVES.as_secs_f64())
    .fetch_optional(&mut *conn)
    .await?;
    let Some(held) = held else { return Ok(()) };
    let unspent = held.units - spent.unwrap_or(held.units);
    if unspent == 0 && held.price_minor == 0 {
        return Ok(());
    }
    let needed = account.thousands_beyond(account.month.used - unspent);
    let spare = (account.row.overage_thousands - needed).clamp(0, held.thousands);
    account.add(conn, -unspent, -spare).await?;
    let released = if spare > 0 { held.price_minor / held.thousands * spare } else { 0 };
    if released > 0 {
        sqlx::query(
            "update tidewell.organizations
             set wallet_minor = wallet_minor + $2, wallet_reserved_minor = wallet_reserved_minor - $2 where id = $1",
        )
        .bind(organization_id)
        .bind(released)
        .execute(&mut *conn)
        .await?;
        note(conn, organization_id, Entry::Release, released, None).await?;
    }
    match held.price_minor - released {
        0 => Ok(()),
        spent => commit(conn, organization_id, spent, None).await,
    }
}
