//! What a job may be told to do.

use axum::{
    extract::{Path, State},
    http::Method,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{HERE, at, job, path};
use crate::console::{Console, api::Refusal, fields::Fields, notice, parts, session::Session};

type Answer = Result<Response, Refusal>;

pub(super) async fn run(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    let is_full = fields.text("full") == "true";
    let asked = console.api.post(&session, &format!("{}/run?full={is_full}", at(&id)), &json!({})).await;
    let said = if is_full { "A full run is queued." } else { "A run is queued." };
    answered(&console, &session, &id, asked, said).await
}

pub(super) async fn cancel(session: Session, State(console): State<Console>, Path(id): Path<String>) -> Answer {
    let asked = console.api.post(&session, &format!("{}/cancel", at(&id)), &json!({})).await;
    answered(&console, &session, &id, asked, "The run is cancelled.").await
}

pub(super) async fn roll_back(session: Session, State(console): State<Console>, Path(id): Path<String>) -> Answer {
    let asked = console.api.post(&session, &format!("{}/rollback", at(&id)), &json!({})).await;
    answered(&console, &session, &id, asked, "The collection before is put back.").await
}

/// Switches a job, or its schedule, on or off.
pub(super) async fn switch(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    let switches = ["enabled", "auto_sync_enabled"].into_iter().filter_map(|name| Some((name, fields.given(name)?)));
    let changes: Map<String, Value> = switches.map(|(name, value)| (name.to_owned(), json!(value == "true"))).collect();
    let asked = console.api.send(&session, Method::PATCH, &at(&id), &Value::Object(changes)).await;
    answered(&console, &session, &id, asked, "The job is changed.").await
}

pub(super) async fn delete(session: Session, State(console): State<Console>, Path(id): Path<String>) -> Answer {
    match console.api.delete(&session, &at(&id)).await {
        Ok(()) => Ok(notice::see(HERE, "The sync job is deleted; its collection is still there.")),
        Err(refusal) => answered(&console, &session, &id, Err(refusal), "").await,
    }
}

/// The job's page, with what was done or why it was not.
async fn answered(console: &Console, session: &Session, id: &str, asked: Result<Value, Refusal>, said: &str) -> Answer {
    match asked {
        Ok(_) => Ok(notice::see(&path(id), said)),
        Err(refusal) => {
            let page = job::shown(console, session, id, None, Some(&parts::alert(&refusal.in_a_sentence()))).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}
