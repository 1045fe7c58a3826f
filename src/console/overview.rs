//! The first page: is everything fresh, and what needs attention first?

use axum::extract::State;
use maud::html;

use super::{
    Console,
    api::Refusal,
    page::{Page, Section},
    parts::{self, Tone},
};
use crate::db;

pub(super) async fn show(State(console): State<Console>) -> Result<Page, Refusal> {
    let status = db::status::read(&console.pool).await?;
    let dead: i64 = status.indexes.iter().map(|index| index.dead_letters).sum();
    let body = html! {
        div .figures {
            (parts::figure(if dead == 0 { Tone::Good } else { Tone::Bad }, &html! { (parts::count(dead)) }, "dead letters", Some("/console/dead-letters")))
        }
    };
    Ok(Page::new(Section::Overview, "Overview", body))
}
