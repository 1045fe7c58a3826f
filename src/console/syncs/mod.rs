//! Sync jobs: tables, and the collections that follow them.

mod act;
mod choose;
mod create;
mod draft;
mod edit;
mod form;
mod job;
mod list;
mod matrix;
mod pace;
mod preview;
mod run;
mod runs;
mod settings;
mod verify;
mod view;

use axum::{
    Router,
    routing::{get, post},
};

use super::{Console, api::segment};

const HERE: &str = "/console/syncs";
const API: &str = "/typesense/sync-jobs";

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route(HERE, get(list::show))
        .route("/console/syncs/new", get(create::show).post(create::create))
        .route("/console/syncs/{id}", get(job::show))
        .route("/console/syncs/{id}/edit", get(edit::show).post(edit::update))
        .route("/console/syncs/{id}/run", post(act::run))
        .route("/console/syncs/{id}/cancel", post(act::cancel))
        .route("/console/syncs/{id}/rollback", post(act::roll_back))
        .route("/console/syncs/{id}/switch", post(act::switch))
        .route("/console/syncs/{id}/delete", post(act::delete))
        .route("/console/syncs/{id}/verify", post(verify::verify))
        .route("/console/syncs/{id}/runs/{run}", get(run::show))
}

/// Where a job is shown.
fn path(id: &str) -> String {
    format!("{HERE}/{}", segment(id))
}

/// The API's route of a job.
fn at(id: &str) -> String {
    format!("{API}/{}", segment(id))
}
