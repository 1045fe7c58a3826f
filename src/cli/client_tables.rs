//! `tidewell client tables`: what there is to sync in a client's database.

use anyhow::Context;
use serde_json::json;
use tidewell::{
    db::client::SourceClient,
    source::{Outline, Table},
    sync::explore,
};

use super::{
    Session,
    output::{maybe, table},
};

pub(super) async fn list(session: &Session, client: &SourceClient) -> anyhow::Result<()> {
    let tables = explore::tables(client, &session.sealer()?).await?;
    session.show(&json!({ "items": tables, "nextCursor": null }), || {
        let lines = tables.iter().map(|Table { schema, name, kind, estimated_rows }| {
            [format!("{schema}.{name}"), kind.clone(), maybe(estimated_rows.as_ref())]
        });
        table(["table", "kind", "rows, about"], &["rows, about"], lines)
    })
}

/// `name` is a table's, in the schema before its first dot, or in `public`.
pub(super) async fn show(session: &Session, client: &SourceClient, name: &str) -> anyhow::Result<()> {
    let (schema, name) = name.split_once('.').unwrap_or(("public", name));
    let found = explore::table(client, &session.sealer()?, schema, name).await?;
    let client = &client.name;
    let found = found.with_context(|| {
        format!("there is no table or view {schema}.{name} that the role of {client} can see: `tidewell client tables {client}` lists them")
    })?;
    session.show(&found, || text(&found))
}

fn text(found: &Outline) -> String {
    let lines = found.columns.iter().map(|column| {
        let null = if column.nullable { "maybe" } else { "no" }.to_owned();
        let field = column.field_type.clone().unwrap_or_else(|| maybe(column.reason.as_ref()));
        [column.name.clone(), column.declared.clone(), null, field]
    });
    let columns = table(["column", "type", "null", "in Typesense"], &[], lines);
    let keys: Vec<String> = found.unique_keys.iter().map(|key| key.join(",")).collect();
    let keys = if keys.is_empty() { "nothing is unique".to_owned() } else { format!("unique: {}", keys.join("; ")) };
    format!("{} {}.{}\n\n{columns}\n\n{keys}", found.kind, found.schema, found.name)
}
