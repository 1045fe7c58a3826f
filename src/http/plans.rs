//! Plans: what organizations may use and hold.

use axum::{Json as Answer, extract::State as Shared};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Error, State,
    body::Json,
    caller::Operator,
    page::Page,
    params::Path,
    responses::{Invalid, Refused, TooLarge, Unprocessable},
    validate::Faults,
};
use crate::db::{self, plan::Plan};

/// List the plans
#[utoipa::path(get, path = "/v1/plans", tag = "organizations", security(("operator" = [])),
    responses((status = 200, description = "All of them, the smallest first", body = Page<Plan>), Refused))]
pub(super) async fn list(_: Operator, Shared(state): Shared<State>) -> Result<Answer<Page<Plan>>, Error> {
    Ok(Answer(Page { items: db::plan::list(&state.pool).await?, next_cursor: None }))
}

/// Make a plan, or replace it for every organization that is on it
///
/// It holds from the next request on; what was used of the month before counts.
#[utoipa::path(put, path = "/v1/plans/{plan}", tag = "organizations", security(("operator" = [])),
    params(("plan" = String, Path, description = "Its name")),
    request_body = PlanBody,
    responses((status = 200, body = Plan), Invalid, Refused, TooLarge, Unprocessable))]
pub(super) async fn put(
    _: Operator,
    Path(name): Path<String>,
    Shared(state): Shared<State>,
    Json(body): Json<PlanBody>,
) -> Result<Answer<Plan>, Error> {
    let plan = Plan {
        name,
        monthly_units: body.monthly_units,
        overage_minor_per_thousand: body.overage_minor_per_thousand,
        max_documents: body.max_documents,
        max_indexes: body.max_indexes,
        max_keys: body.max_keys,
    };
    let mut faults = Faults::default();
    for (field, message) in plan.faults() {
        faults.add(field, message);
    }
    faults.check()?;
    db::plan::put(&state.pool, &plan).await?;
    Ok(Answer(plan))
}

/// A plan. A cap that is left out or null does not bind.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PlanBody {
    /// Units a calendar month (UTC).
    #[schema(minimum = 1)]
    monthly_units: Option<i64>,
    /// Price of a thousand units beyond the cap, in minor units of the wallet's currency.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    overage_minor_per_thousand: i64,
    /// Documents of all indexes together.
    #[schema(minimum = 1)]
    max_documents: Option<i64>,
    #[schema(minimum = 1)]
    max_indexes: Option<i64>,
    /// Keys that are neither revoked nor expired.
    #[schema(minimum = 1)]
    max_keys: Option<i64>,
}
