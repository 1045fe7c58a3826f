//! The console at `/console`: an operator's pages, rendered on the server.
//!
//! It is a client of the API that happens to live in its process: what a page does, it asks of the API ([`api`]), so the rules, the
//! messages and the records of who did what are the API's own. A handler gives a [`Page`]; the frame around it, the sign-in and the
//! guard against other sites are put on here. Pages are kept up by [`live`], which renders them again and sends what has changed.

mod api;
mod assets;
mod backends;
mod clients;
mod dead_letters;
mod fields;
mod forms;
mod frame;
mod gateway_keys;
mod guard;
mod indexes;
mod jobs;
mod live;
mod log;
mod notice;
mod organizations;
mod overview;
mod page;
mod parts;
mod search;
mod session;
mod sign_in;
mod syncs;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{any, get, post},
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use self::{api::Api, session::Sessions};
use crate::domain::sensitive::Sensitive;

/// A form may carry a document of a megabyte, each byte of which takes three.
const FORM_BYTES: usize = 4 << 20;

/// What the console is made of.
pub struct Options {
    /// The API's routes.
    pub api: Router,
    /// For pictures that the API does not give.
    pub pool: PgPool,
    /// Signs in as the operator, and is what the API is called with: without it nobody can sign in.
    pub operator_key: Option<Sensitive>,
    /// Signs in to look, and change nothing.
    pub viewer_key: Option<Sensitive>,
    /// Ends the streams that keep pages up.
    pub shutdown: CancellationToken,
}

/// Shared by all pages.
#[derive(Clone)]
struct Console {
    api: Api,
    pool: PgPool,
    sessions: Sessions,
    shutdown: CancellationToken,
}

/// The API's routes, and the console's beside them.
pub fn beside_api(options: Options) -> Router {
    let Options { api, pool, operator_key, viewer_key, shutdown } = options;
    let sessions = Sessions::new(operator_key.as_ref(), viewer_key.as_ref().filter(|_| operator_key.is_some()));
    let console = Console { api: Api::new(api.clone(), operator_key), pool, sessions, shutdown };
    api.merge(router(console))
}

/// The console's routes, with whole paths.
fn router(console: Console) -> Router {
    let guarded = pages()
        .route("/console/{*rest}", any(page::no_such_page))
        .method_not_allowed_fallback(page::only_for_forms)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(middleware::from_fn(frame::put_on))
        .layer(middleware::from_fn_with_state(console.clone(), guard::signed_in))
        .with_state(console.clone());
    // Who is signed in is asked by the pages, each time that they are looked at.
    let live = Router::new()
        .route("/console/live", get(live::stream))
        .with_state(live::Live { pages: guarded.clone(), shutdown: console.shutdown.clone() });
    Router::new()
        .route("/console/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/console/sign-out", post(sign_in::sign_out))
        .with_state(console)
        .merge(live)
        .merge(guarded)
        .layer(middleware::from_fn(guard::same_site))
        .merge(assets::routes())
        .layer(middleware::from_fn(guard::harden))
}

/// Every page that takes a sign-in.
fn pages() -> Router<Console> {
    Router::new()
        .route("/console", get(overview::show))
        .route("/console/", get(overview::show))
        .merge(backends::routes())
        .merge(clients::routes())
        .merge(gateway_keys::routes())
        .merge(syncs::routes())
        .merge(dead_letters::routes())
        .merge(jobs::routes())
        .merge(indexes::routes())
        .merge(organizations::routes())
        .merge(search::routes())
}
