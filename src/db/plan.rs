//! Plans: how many units a month an organization may use, and how much it may hold.

use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::{organization, quota};
use crate::domain::slug::slug_fault;

/// A plan as stored. A cap that is null does not bind.
#[derive(Clone, Debug, FromRow, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub name: String,
    /// Units a calendar month (UTC).
    pub monthly_units: Option<i64>,
    /// Price of a thousand units beyond the cap, in minor units of the wallet's currency.
    pub overage_minor_per_thousand: i64,
    /// Documents of all its indexes together.
    pub max_documents: Option<i64>,
    pub max_indexes: Option<i64>,
    /// Keys that are neither revoked nor expired.
    pub max_keys: Option<i64>,
}

/// A price or a cap beyond this is taken for a slip of the hand; sums of them can't overflow.
const LARGEST_CAP: i64 = 1_000_000_000_000;
const LARGEST_PRICE: i64 = 1_000_000_000;

impl Plan {
    /// What is wrong with it: the field, as JSON names it, and why.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if let Some(fault) = slug_fault(&self.name) {
            faults.push(("name", fault.to_owned()));
        }
        for (field, cap) in [
            ("monthlyUnits", self.monthly_units),
            ("maxDocuments", self.max_documents),
            ("maxIndexes", self.max_indexes),
            ("maxKeys", self.max_keys),
        ] {
            if cap.is_some_and(|cap| !(1..=LARGEST_CAP).contains(&cap)) {
                faults.push((field, format!("must be 1 to {LARGEST_CAP}, or left out for no cap")));
            }
        }
        if !(0..=LARGEST_PRICE).contains(&self.overage_minor_per_thousand) {
            faults.push(("overageMinorPerThousand", format!("must be 0 to {LARGEST_PRICE}")));
        }
        faults
    }
}

/// A cap of the plan other than its units has been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the organization has {used} {what}, and its plan has room for {limit}: remove some, or give it another plan")]
pub struct CapReached {
    /// What there is no more room for, in the plural.
    pub what: &'static str,
    pub limit: i64,
    /// What the organization holds already.
    pub used: i64,
}

/// All plans, the smallest first.
pub async fn list(pool: &PgPool) -> Result<Vec<Plan>, sqlx::Error> {
    sqlx::query_as(
        "select name, monthly_units, overage_minor_per_thousand, max_documents, max_indexes, max_keys
         from tidewell.plans order by monthly_units nulls last, name",
    )
    .fetch_all(pool)
    .await
}

/// One plan.
pub async fn find(pool: &PgPool, name: &str) -> Result<Option<Plan>, sqlx::Error> {
    sqlx::query_as(
        "select name, monthly_units, overage_minor_per_thousand, max_documents, max_indexes, max_keys
         from tidewell.plans where name = $1",
    )
    .bind(name)
    .fetch_optional(pool)
    .await
}

/// Makes a plan, or replaces the one of that name for every organization that is on it.
pub async fn put(pool: &PgPool, plan: &Plan) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query(
        "insert into tidewell.plans
             (name, monthly_units, overage_minor_per_thousand, max_documents, max_indexes, max_keys)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (name) do update
         set monthly_units = excluded.monthly_units, overage_minor_per_thousand = excluded.overage_minor_per_thousand,
             max_documents = excluded.max_documents, max_indexes = excluded.max_indexes, max_keys = excluded.max_keys",
    )
    .bind(&plan.name)
    .bind(plan.monthly_units)
    .bind(plan.overage_minor_per_thousand)
    .bind(plan.max_documents)
    .bind(plan.max_indexes)
    .bind(plan.max_keys)
    .execute(&mut *tx)
    .await?;
    let organizations: Vec<Uuid> =
        sqlx::query_scalar("select id from tidewell.organizations where plan = $1 order by id")
            .bind(&plan.name)
            .fetch_all(&mut *tx)
            .await?;
    for organization in organizations {
        quota::lock_for_change(&mut tx, organization).await?;
        quota::gather(&mut tx, organization).await?;
    }
    tx.commit().await
}

/// What an organization holds, of what its plan lets it hold.
#[derive(Clone, Copy, Debug, FromRow)]
pub struct Holding {
    pub max_documents: Option<i64>,
    /// Documents of the record.
    pub documents: i64,
    /// Rows that wait in the outboxes: documents to be, or not.
    pub waiting: i64,
    pub max_indexes: Option<i64>,
    pub indexes: i64,
    pub max_keys: Option<i64>,
    pub keys: i64,
}

/// What an organization holds now.
pub async fn holding(conn: &mut PgConnection, organization_id: Uuid) -> Result<Option<Holding>, sqlx::Error> {
    sqlx::query_as(
        "with own as (select id from tidewell.indexes where organization_id = $1),
              settled as (select sum(documents) as documents, sum(settled) as settled
                          from tidewell.lanes where index_id in (select id from own)),
              accepted as (select sum(accepted) as accepted
                           from tidewell.backlogs where index_id in (select id from own))
         select max_documents, coalesce(documents, 0)::bigint as documents,
                coalesce(accepted - settled, 0)::bigint as waiting,
                max_indexes, (select count(*) from own) as indexes,
                max_keys, (select count(*) from tidewell.keys
                           where organization_id = $1 and revoked_at is null
                             and (expires_at is null or expires_at > now())) as keys
         from tidewell.organizations join tidewell.plans on plans.name = organizations.plan, settled, accepted
         where organizations.id = $1",
    )
    .bind(organization_id)
    .fetch_optional(conn)
    .await
}

/// Locks the organization, so that what is added next is counted by whoever asks after it, and gives what it holds.
pub(super) async fn lock_holding(conn: &mut PgConnection, organization_id: Uuid) -> Result<Holding, sqlx::Error> {
    organization::lock(conn, organization_id).await?;
    holding(conn, organization_id).await?.ok_or(sqlx::Error::RowNotFound)
}

/// Whether one more fits.
pub(super) fn room(what: &'static str, limit: Option<i64>, used: i64) -> Result<(), CapReached> {
    match limit {
        Some(limit) if used >= limit => Err(CapReached { what, limit, used }),
        _ => Ok(()),
    }
}
