//! Live search: any index and any sync job's collection, as whoever has a key to it would search it.

mod answer;
mod curl;
mod marks;
mod question;
mod target;
mod view;

use std::time::Instant;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    routing::get,
};

use self::{answer::Found, question::Question, target::Target};
use super::{
    Console,
    api::Refusal,
    fields::Fields,
    page::{Page, Section},
    session::Session,
};

pub(super) const HERE: &str = "/console/search";

pub(super) fn routes() -> Router<Console> {
    Router::new().route(HERE, get(show))
}

/// What came of a search.
struct Outcome {
    /// Or why there is nothing.
    found: Result<Found, Refusal>,
    /// What the console has waited for the answer.
    seconds: f64,
    /// The same search as a command, where it can be asked at all.
    command: Option<String>,
}

async fn show(
    session: Session,
    State(console): State<Console>,
    headers: HeaderMap,
    asked: Fields,
) -> Result<Page, Refusal> {
    let targets = target::all(&console, &session, asked.given("in")).await?;
    let chosen = match asked.given("in") {
        Some(name) => targets.iter().find(|target| target.is_called(name)),
        None => targets.first(),
    };
    let page = |body| Page::new(Section::Search, "Live search", body).still();
    let Some(target) = chosen else { return Ok(page(view::without_target(&targets))) };
    let question = Question::of(&asked, target);
    let outcome = search(&console, &session, &headers, target, &question).await;
    Ok(page(view::searched(&targets, target, &question, &outcome)))
}

async fn search(
    console: &Console,
    session: &Session,
    headers: &HeaderMap,
    target: &Target,
    question: &Question,
) -> Outcome {
    let body = question.body(target);
    let command = body.as_ref().ok().map(|body| curl::command(&base(headers), &target.path(), body));
    let begun = Instant::now();
    let found = match body {
        Ok(body) => answer::ask(console, session, target, body).await,
        Err(refusal) => Err(refusal),
    };
    Outcome { found, seconds: begun.elapsed().as_secs_f64(), command }
}

/// Where the browser has reached the front end.
fn base(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = if text("x-forwarded-proto") == Some("https") { "https" } else { "http" };
    format!("{scheme}://{}", text(header::HOST.as_str()).unwrap_or("localhost"))
}
