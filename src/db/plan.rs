//! Plans: how many units a month an organization may use.

use sqlx::{FromRow, PgPool};

/// A plan as stored.
#[derive(Clone, Debug, FromRow, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub name: String,
    /// Units a calendar month (UTC); null: no cap.
    pub monthly_units: Option<i64>,
    /// Price of a thousand units beyond the cap, in minor units of the wallet's currency.
    pub overage_minor_per_thousand: i64,
}

/// All plans, the smallest first.
pub async fn list(pool: &PgPool) -> Result<Vec<Plan>, sqlx::Error> {
    sqlx::query_as("select name, monthly_units, overage_minor_per_thousand from tidewell.plans order by monthly_units nulls last, name").fetch_all(pool).await
}
