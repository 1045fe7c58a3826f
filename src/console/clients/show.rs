//! One client, and the tables that it can reach.

use axum::{
    extract::{Path, State},
    http::Method,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::{
    API, Client, HERE, URL_HINT,
    outline::{self, Table, tables},
    path, table_path,
};
use crate::console::{
    Console,
    api::{Refusal, segment, with_query},
    fields::Fields,
    forms::{self, Field},
    notice,
    page::{Page, Section},
    parts,
    session::Session,
};

pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path(name): Path<String>,
    asked: Fields,
) -> Result<Page, Refusal> {
    shown(&console, &session, &name, asked.text("q"), None, None).await
}

pub(super) async fn edit(
    session: Session,
    State(console): State<Console>,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let mut changes = Map::from_iter([("name".to_owned(), json!(fields.text("name")))]);
    if let Some(url) = fields.given("url") {
        changes.insert("url".to_owned(), json!(url));
    }
    let at = format!("{API}/{}", segment(&name));
    match console.api.send::<Client>(&session, Method::PATCH, &at, &Value::Object(changes)).await {
        Ok(client) => Ok(notice::see(&path(&client.name), "The client is changed.")),
        Err(refusal) => {
            let page = shown(&console, &session, &name, "", Some(&refusal), Some(&fields)).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

pub(super) async fn delete(
    session: Session,
    State(console): State<Console>,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    match console.api.delete(&session, &format!("{API}/{}", segment(&name))).await {
        Ok(()) => Ok(notice::see(HERE, "The client is deleted.")),
        Err(refusal) => {
            let page = shown(&console, &session, &name, "", Some(&refusal), None).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

/// Asks the source, so it is not kept up. `sent` is the form that was refused.
async fn shown(
    console: &Console,
    session: &Session,
    name: &str,
    searched: &str,
    refusal: Option<&Refusal>,
    sent: Option<&Fields>,
) -> Result<Page, Refusal> {
    let client: Client = console.api.get(session, &format!("{API}/{}", segment(name))).await?;
    let here = path(&client.name);
    let found = tables(console, session, &client.name).await;
    let new_name = sent.map_or(&*client.name, |sent| sent.text("name"));
    let body = html! {
        (forms::refused(refusal, &["name", "url"]))
        @if session.may_act() {
            div .acts {
                a .button.primary href=(with_query("/console/syncs/new", &[("client", Some(&client.name))])) { "Sync a table" }
                details .confirm open[sent.is_some()] {
                    summary .button { "Change" }
                    form method="post" action={ (here) "/edit" } {
                        (Field::text("name", "Name").required().value(new_name).hint("sync jobs follow a new name").judged(refusal))
                        (Field::secret("url", "New URL").value(sent.map_or("", |sent| sent.text("url"))).hint(URL_HINT).judged(refusal))
                        button .primary type="submit" { "Save" }
                    }
                }
                (forms::confirmed("Delete", "Tidewell forgets its URL. Nothing changes in the database itself.", &format!("{here}/delete"), &[]))
            }
        }
        dl .facts {
            dt { "URL" } dd { "stored encrypted, and never shown" }
            dt { "Made" } dd { (parts::time(client.created_at)) }
            dt { "Changed" } dd { (parts::time(client.updated_at)) }
        }
        h2 { "Tables and views" }
        @match &found {
            Err(refusal) => (parts::alert(&refusal.in_a_sentence())),
            Ok(found) => (listed(&client.name, &here, found, searched)),
        }
    };
    Ok(Page::new(Section::Clients, client.name, body).under("Clients", HERE).still())
}

fn listed(client: &str, here: &str, all: &[Table], searched: &str) -> Markup {
    let found = outline::named(all, searched);
    html! {
        (outline::finder(here, &[], searched))
        @if found.is_empty() {
            (parts::empty(if all.is_empty() { "The client's role can read no table: grant it select." } else { "No table has such a name." }))
        } @else {
            div .scroll tabindex="0" role="region" aria-label="Tables and views" {
                table {
                    thead { tr { th { "Table" } th { "Schema" } th { "Kind" } th .number { "Rows, about" } } }
                    tbody {
                        @for table in found {
                            tr data-key={ (table.schema) "." (table.name) } {
                                th scope="row" { a href=(table_path(client, &table.schema, &table.name)) { (parts::cut(&table.name, 60)) } }
                                td { (parts::cut(&table.schema, 60)) }
                                td { (table.kind) }
                                td .number { @match table.estimated_rows { Some(rows) => (parts::count(rows)), None => (parts::dash()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
