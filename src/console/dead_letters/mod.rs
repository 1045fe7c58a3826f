//! Dead letters: what failed for good, why, and what is to become of it.

mod all;
mod chosen;
mod filter;
mod letter;
mod list;
mod mend;
mod outcome;
mod pretty;

use axum::{
    Router,
    routing::{get, post},
};
use maud::{Markup, html};

use super::{Console, parts};

pub(super) const HERE: &str = "/console/dead-letters";
const API: &str = "/v1/dead-letters";

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route(HERE, get(list::list))
        .route("/console/dead-letters/all", get(all::ask).post(all::act))
        .route("/console/dead-letters/chosen", post(chosen::act))
        .route("/console/dead-letters/{id}", get(letter::show))
        .route("/console/dead-letters/{id}/mend", post(mend::mend))
        .route("/console/dead-letters/{id}/act", post(letter::act))
}

/// Whose a letter is: an index of an organization, or a sync job.
fn owner(organization: Option<&str>, index: Option<&str>, sync_job: Option<&str>) -> Markup {
    html! {
        @match (organization, index, sync_job) {
            (_, _, Some(job)) => { span .soft { "sync " } (parts::cut(job, 60)) }
            (Some(organization), Some(index), _) => { (parts::cut(organization, 60)) " / " (parts::cut(index, 60)) }
            _ => (parts::dash()),
        }
    }
}
