//! What there is to sync in a client's database.

use axum::{Json as Answer, extract::State as Shared};

use super::{
    Error, Fault, State,
    caller::Operator,
    clients::find,
    page::Page,
    params::Path,
    responses::{NotFound, Refused, Unprocessable},
};
use crate::{
    source::{Outline, Table},
    sync::explore::{self, Unseen},
};

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
    found.map(Answer).ok_or_else(|| Error::not_found("table or view that the client's role can see"))
}

impl From<Unseen> for Error {
    fn from(unseen: Unseen) -> Self {
        match unseen {
            Unseen::Sealed(error) => Self::Unavailable { detail: error.to_string(), retry_after: 60 },
            Unseen::Source(error) => Self::validation(vec![Fault::new("client", error.to_string())]),
        }
    }
}
