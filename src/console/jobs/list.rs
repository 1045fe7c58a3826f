//! The list of jobs.

use axum::extract::State;
use maud::{Markup, html};

use super::{API, HERE, Job};
use crate::console::{
    Console,
    api::{List, Refusal, segment, with_query},
    fields::Fields,
    forms::{self, Field},
    page::{Page, Section},
    parts::{self, count},
    session::Session,
};

const STATUSES: [(&str, &str); 6] = [
    ("", "any"),
    ("queued", "queued"),
    ("running", "running"),
    ("succeeded", "succeeded"),
    ("partial", "partial"),
    ("failed", "failed"),
];

pub(super) async fn list(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    let wanted = |cursor| {
        let of = |name| (name, asked.given(name));
        [of("organization"), of("index"), of("status"), ("cursor", cursor)]
    };
    match console.api.get::<List<Job>>(&session, &with_query(API, &wanted(asked.given("cursor")))).await {
        Ok(jobs) => {
            let older = jobs.next_cursor.as_deref().map(|next| with_query(HERE, &wanted(Some(next))));
            let body = html! { (filters(&asked)) (table(&jobs.items)) (parts::next(older.as_deref())) };
            Ok(Page::new(Section::Jobs, "Jobs", body))
        }
        Err(refusal) if refusal.status.is_client_error() => {
            let body = html! { (forms::refused(Some(&refusal), &[])) (filters(&asked)) };
            Ok(Page::new(Section::Jobs, "Jobs", body).refused(refusal.status))
        }
        Err(refusal) => Err(refusal),
    }
}

fn filters(asked: &Fields) -> Markup {
    html! {
        form .filters method="get" action=(HERE) role="search" aria-label="Jobs" {
            (Field::text("organization", "Organization").value(asked.text("organization")))
            (Field::text("index", "Index").value(asked.text("index")))
            (Field::choice("status", "State", &STATUSES).value(asked.text("status")))
            button .primary type="submit" { "Filter" }
        }
    }
}

fn table(jobs: &[Job]) -> Markup {
    html! {
        @if jobs.is_empty() { (parts::empty("There are no such jobs. Those that ended long ago are not kept.")) }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Jobs" {
                table {
                    thead { tr {
                        th { "Job" } th { "Index" } th { "Kind" } th { "State" } th .number { "Documents" } th { "What became of them" }
                        th { "Asked for" } th { "Ended" }
                    } }
                    tbody { @for job in jobs { (row(job)) } }
                }
            }
        }
    }
}

fn row(job: &Job) -> Markup {
    html! {
        tr data-key=(job.job_id) {
            th .tight scope="row" { a href={ (HERE) "/" (segment(&job.job_id)) } { code { (job.job_id) } } }
            td { (parts::cut(&job.organization, 40)) " / " (parts::cut(&job.index, 40)) }
            td .tight { (job.kind()) }
            td .tight { (parts::state(&job.status)) }
            td .number { (count(job.counts.total)) }
            td { (job.counts.bar()) }
            td .tight { (parts::time(job.enqueued_at)) }
            td .tight { (parts::time_if(job.finished_at)) }
        }
    }
}
