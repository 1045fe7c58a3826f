//! Acting on letters that were chosen one by one.

use axum::{extract::State, response::Response};
use serde_json::json;

use super::{HERE, filter::Filter, outcome::Act};
use crate::console::{Console, api::Refusal, fields::Fields, notice, session::Session};

pub(super) async fn act(session: Session, State(console): State<Console>, sent: Fields) -> Result<Response, Refusal> {
    let (act, back) = (Act::of(&sent)?, Filter::of(&sent).path(HERE, &[]));
    let ids = sent.all("ids");
    if ids.is_empty() {
        return Ok(notice::see(&back, "No dead letter was chosen: check the boxes of those that are meant."));
    }
    let done = act.on(&console, &session, ("ids", json!(ids)), false).await?;
    Ok(notice::see(&back, &done.told(act)))
}
