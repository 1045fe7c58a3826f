//! Acting on all that match: first how many those are, then, once more, whether it is meant.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use maud::html;

use super::{
    HERE,
    filter::Filter,
    outcome::{Act, letters},
};
use crate::console::{
    Console,
    api::Refusal,
    fields::Fields,
    forms, notice,
    page::{Page, Section},
    parts::{self, Tone, count},
    session::Session,
};

pub(super) async fn ask(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    let (act, filter) = (Act::of(&asked)?, Filter::of(&asked));
    let back = filter.path(HERE, &[]);
    let would = act.on(&console, &session, ("filter", filter.json()), true).await?;
    let body = html! {
        (filter.facts())
        div .figures {
            (parts::figure(Tone::Quiet, &html! { (count(would.matched)) }, "match", Some(&back)))
            @if act == Act::Redrive {
                (parts::figure(Tone::Busy, &html! { (count(would.retried)) }, "go back in line", None))
                (parts::figure(Tone::Quiet, &html! { (count(would.superseded)) }, "end: a newer write stands", None))
                @if would.deferred > 0 {
                    (parts::figure(Tone::Warn, &html! { (count(would.deferred)) }, "wait for the next run", None))
                }
            }
        }
        @if would.matched == 0 { (parts::empty("No dead letter matches: there is nothing to do.")) }
        @else {
            p { (act.meaning()) " What fails between now and then and matches is taken along." }
            form .acts method="post" action="/console/dead-letters/all" {
                input type="hidden" name="act" value=(act.value());
                (forms::hidden(filter.hidden()))
                button type="submit" class=(if act == Act::Discard { "danger" } else { "primary" }) {
                    (act.title()) " " (letters(would.matched))
                }
                a .button href=(back) { "Leave them" }
            }
        }
    };
    let title = format!("{} all that match", act.title());
    Ok(Page::new(Section::DeadLetters, title, body).under("Dead letters", HERE).still())
}

pub(super) async fn act(session: Session, State(console): State<Console>, sent: Fields) -> Result<Response, Refusal> {
    let (act, filter) = (Act::of(&sent)?, Filter::of(&sent));
    let done = act.on(&console, &session, ("filter", filter.json()), false).await?;
    Ok(notice::see(&filter.path(HERE, &[]), &done.told(act)).into_response())
}
