//! Another schema for an index.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use maud::html;
use serde_json::{Value, json};

use super::{
    HERE, Index, acts, find,
    schema::{Draft, SHOWN},
};
use crate::console::{
    Console,
    api::Refusal,
    fields::Fields,
    forms::{self, Field},
    page::{Page, Section},
    session::Session,
};

pub(super) async fn form(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Page, Refusal> {
    let index = find(&console, &session, &id).await?;
    let draft = Draft::of_schema(&index.fields, index.default_sorting_field.as_deref(), index.embedding.as_ref());
    Ok(shown(&index, &Fields::default(), &draft, None))
}

fn shown(index: &Index, sent: &Fields, draft: &Draft, refusal: Option<&Refusal>) -> Page {
    let body = html! {
        p .soft {
            "Fields that are only added, all of them optional, are added to the live version. For anything else a new version is filled beside it and put in its place at once, which costs a unit a document."
        }
        (forms::refused(refusal, &[&SHOWN[..], &["maxRefused"]].concat()))
        form method="post" action={ (index.path()) "/reindex" } {
            (draft.shown(refusal))
            (Field::number("maxRefused", "Documents that the new schema may refuse").value(if sent.is_checked("maxRefused") { sent.text("maxRefused") } else { "0" })
                .hint("before it is given up; empty: any number").judged(refusal))
            p { (forms::checkbox("rebuild", "true", "Build a new version even where fields could be added to the live one", sent.is_checked("rebuild"))) }
            button .primary type="submit" { "Reindex" }
        }
    };
    let page = Page::new(Section::Indexes, "Change the schema", body);
    page.under("Indexes", HERE).under(&index.slug, index.path()).still()
}

pub(super) async fn begin(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let index = find(&console, &session, &id).await?;
    let draft = Draft::sent(&sent);
    if sent.is_checked("more") {
        return Ok(shown(&index, &sent, &draft, None).into_response());
    }
    let wish = wish(&sent, &draft);
    let begun = match &wish {
        Ok(wish) => acts::queue(&console, &session, &index, "reindex", wish).await,
        Err(refusal) => Err(refusal.clone()),
    };
    match begun {
        Ok(response) => Ok(response),
        Err(refusal) => Ok(shown(&index, &sent, &draft, Some(&refusal)).refused(refusal.status).into_response()),
    }
}

fn wish(sent: &Fields, draft: &Draft) -> Result<Value, Refusal> {
    let mut wish = draft.body()?;
    wish.insert("maxRefused".to_owned(), json!(sent.number("maxRefused")?));
    wish.insert("rebuild".to_owned(), json!(sent.is_checked("rebuild")));
    Ok(Value::Object(wish))
}
