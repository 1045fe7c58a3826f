//! What there is to sync in a client's database.

use axum::{Json as Answer, extract::State as Shared};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Error, Fault, State,
    caller::Operator,
    clients::find,
    page::Page,
    params::{Path, Query},
    responses::{Invalid, NotFound, Refused, Unprocessable},
};
use crate::{
    source::{Outline, Sample, Table},
    sync::explore::{self, Unseen},
};

/// Rows of a table that are given when the caller does not say.
const ROWS: i64 = 5;
const MAX_ROWS: i64 = 20;

/// List the tables and views of a client
///
/// Everything that its role may read, by name. A database that can't be read is a fault of `client`, which tells what the server said.
#[utoipa::path(get, path = "/v1/clients/{client}/tables", tag = "clients", security(("operator" = [])),
    params(("client" = String, Path, description = "The client's id or name")),
    responses((status = 200, body = Page<Table>), Refused, NotFound, Unprocessable))]
pub(super) async fn list(
    _: Operator,
    Path(client): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<Table>>, Error> {
    let client = find(&state, &client).await?;
    Ok(Answer(Page::whole(explore::tables(&client, state.sealer()?).await?)))
}

/// Show a table or view of a client
///
/// With its columns, what each would be in Typesense, and what a document's id can be made of.
#[utoipa::path(get, path = "/v1/clients/{client}/tables/{schema}/{table}", tag = "clients", security(("operator" = [])),
    params(("client" = String, Path, description = "The client's id or name"), ("schema" = String, Path, description = "Such as `public`"),
        ("table" = String, Path, description = "The table's or view's name")),
    responses((status = 200, body = Outline), Refused, NotFound, Unprocessable))]
pub(super) async fn show(
    _: Operator,
    Path((client, schema, table)): Path<(String, String, String)>,
    Shared(state): Shared<State>,
) -> Result<Answer<Outline>, Error> {
    let client = find(&state, &client).await?;
    let found = explore::table(&client, state.sealer()?, &schema, &table).await?;
    found.map(Answer).ok_or_else(no_table)
}

/// Show some rows of a table or view of a client
///
/// As they are there, in no order. What takes the database longer than ten seconds is a fault of `client`.
#[utoipa::path(get, path = "/v1/clients/{client}/tables/{schema}/{table}/rows", tag = "clients", security(("operator" = [])),
    params(("client" = String, Path, description = "The client's id or name"), ("schema" = String, Path, description = "Such as `public`"),
        ("table" = String, Path, description = "The table's or view's name"), Rows),
    responses((status = 200, body = Page<Sample>), Invalid, Refused, NotFound, Unprocessable))]
pub(super) async fn rows(
    _: Operator,
    Path((client, schema, table)): Path<(String, String, String)>,
    Query(Rows { limit }): Query<Rows>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<Sample>>, Error> {
    let limit = limit.unwrap_or(ROWS);
    if !(1..=MAX_ROWS).contains(&limit) {
        return Err(Error::invalid(format!("limit: 1 to {MAX_ROWS}")));
    }
    let client = find(&state, &client).await?;
    let rows = explore::rows(&client, state.sealer()?, &schema, &table, limit).await?;
    rows.map(|rows| Answer(Page::whole(rows))).ok_or_else(no_table)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Rows {
    /// How many rows.
    #[param(minimum = 1, maximum = 20, default = 5)]
    limit: Option<i64>,
}

fn no_table() -> Error {
    Error::not_found("table or view that the client's role can see")
}

impl From<Unseen> for Error {
    fn from(unseen: Unseen) -> Self {
        match unseen {
            Unseen::Sealed(error) => Self::Unavailable { detail: error.to_string(), retry_after: 60 },
            Unseen::Source(error) => Self::validation(vec![Fault::new("client", error.to_string())]),
        }
    }
}
