//! The first steps to a job: whose table, and which.

use maud::{Markup, html};

use super::HERE;
use crate::console::{
    Console,
    api::{Refusal, with_query},
    clients::{
        self,
        outline::{self, Table, tables},
    },
    page::{Page, Section},
    parts,
    session::Session,
};

pub(super) async fn client(console: &Console, session: &Session) -> Result<Page, Refusal> {
    let all = clients::all(console, session).await?;
    let body = html! {
        (steps(0))
        p { "Whose table is it? " a href=(clients::HERE) { "Add a client" } " where the database is not there yet." }
        @if all.is_empty() { (parts::empty("There are no clients yet: a client is the database that holds the table.")) }
        @else {
            ul .choices {
                @for client in &all {
                    li { a href=(with_query(&format!("{HERE}/new"), &[("client", Some(&client.name))])) { (parts::cut(&client.name, 60)) } }
                }
            }
        }
    };
    Ok(page(body))
}

pub(super) async fn table(console: &Console, session: &Session, client: &str, searched: &str) -> Result<Page, Refusal> {
    let here = format!("{HERE}/new");
    let found = tables(console, session, client).await;
    let body = html! {
        (steps(1))
        p { "Which of the tables of " b { (parts::cut(client, 60)) } "?" }
        (outline::finder(&here, &[("client", client)], searched))
        @match &found {
            Err(refusal) => (parts::alert(&refusal.in_a_sentence())),
            Ok(found) => (tables_to_choose(client, &here, &outline::named(found, searched))),
        }
    };
    Ok(page(body))
}

fn tables_to_choose(client: &str, here: &str, found: &[&Table]) -> Markup {
    html! {
        @if found.is_empty() { (parts::empty("There is no such table that the client's role can read.")) }
        @else {
            ul .choices {
                @for table in found {
                    li {
                        a href=(with_query(here, &[("client", Some(client)), ("schema", Some(&table.schema)), ("table", Some(&table.name))])) {
                            (parts::cut(&table.schema, 40)) "." (parts::cut(&table.name, 60))
                        }
                        " " span .soft { (table.kind) @if let Some(rows) = table.estimated_rows { ", about " (parts::count(rows)) " rows" } }
                    }
                }
            }
        }
    }
}

/// Where one is on the way.
pub(super) fn steps(here: usize) -> Markup {
    html! {
        ol .steps aria-label="Steps" {
            @for (n, step) in ["Client", "Table", "Columns and settings", "Preview"].into_iter().enumerate() {
                li aria-current=[(n == here).then_some("step")] { (step) }
            }
        }
    }
}

fn page(body: Markup) -> Page {
    Page::new(Section::Syncs, "Sync a table", body).under("Sync jobs", HERE).still()
}
