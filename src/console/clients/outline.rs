//! A table as the API tells of it.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{API, segment};
use crate::console::{
    Console,
    api::{List, Refusal},
    forms,
    session::Session,
};

/// A relation that a client's role may read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::console) struct Table {
    pub(in crate::console) schema: String,
    pub(in crate::console) name: String,
    pub(in crate::console) kind: String,
    pub(in crate::console) estimated_rows: Option<i64>,
}

/// One with its columns.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::console) struct Outline {
    pub(in crate::console) kind: String,
    pub(in crate::console) estimated_rows: Option<i64>,
    pub(in crate::console) columns: Vec<Column>,
    pub(in crate::console) unique_keys: Vec<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::console) struct Column {
    pub(in crate::console) name: String,
    #[serde(rename = "type")]
    pub(in crate::console) declared: String,
    pub(in crate::console) nullable: bool,
    /// What it becomes; `None` where it can be nothing.
    pub(in crate::console) field_type: Option<String>,
    pub(in crate::console) reason: Option<String>,
}

/// A row as it is in the source.
#[derive(Deserialize)]
pub(in crate::console) struct Sample {
    pub(in crate::console) values: Map<String, Value>,
    pub(in crate::console) cut: Vec<String>,
}

impl Sample {
    /// A value as a person reads it, without the quotes of a text.
    pub(in crate::console) fn text(&self, column: &str) -> Option<String> {
        let text = match self.values.get(column)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let is_cut = self.cut.iter().any(|cut| cut == column);
        Some(if is_cut { format!("{text}…") } else { text })
    }
}

/// A form that looks for tables by a part of their names; `hidden` goes along.
pub(in crate::console) fn finder(at: &str, hidden: &[(&str, &str)], searched: &str) -> Markup {
    html! {
        form .filters method="get" action=(at) {
            (forms::hidden(hidden.iter().copied()))
            div .field {
                label for="q" { "Name holds" }
                input #q type="search" name="q" value=(searched);
            }
            button type="submit" { "Show" }
        }
    }
}

/// The tables that are looked for.
pub(in crate::console) fn named<'a>(all: &'a [Table], searched: &str) -> Vec<&'a Table> {
    let wanted = searched.to_lowercase();
    let is_wanted = |table: &&Table| format!("{}.{}", table.schema, table.name).to_lowercase().contains(&wanted);
    all.iter().filter(is_wanted).collect()
}

/// What a client can reach.
pub(in crate::console) async fn tables(
    console: &Console,
    session: &Session,
    client: &str,
) -> Result<Vec<Table>, Refusal> {
    let tables: List<Table> = console.api.get(session, &format!("{API}/{}/tables", segment(client))).await?;
    Ok(tables.items)
}

pub(in crate::console) async fn outline(
    console: &Console,
    session: &Session,
    (client, schema, table): (&str, &str, &str),
) -> Result<Outline, Refusal> {
    console.api.get(session, &at(client, schema, table)).await
}

pub(in crate::console) async fn samples(
    console: &Console,
    session: &Session,
    (client, schema, table): (&str, &str, &str),
    rows: usize,
) -> Result<Vec<Sample>, Refusal> {
    let path = format!("{}/rows?limit={rows}", at(client, schema, table));
    let samples: List<Sample> = console.api.get(session, &path).await?;
    Ok(samples.items)
}

fn at(client: &str, schema: &str, table: &str) -> String {
    format!("{API}/{}/tables/{}/{}", segment(client), segment(schema), segment(table))
}
