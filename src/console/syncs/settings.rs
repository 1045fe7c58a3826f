//! How a job is set.

use maud::{Markup, html};

use super::view::{Job, Status};
use crate::console::{backends, clients, parts};

/// `current` and `previous` are the collections behind the job's name.
pub(super) fn shown(job: &Job, status: &Status, current: Option<&str>, previous: Option<&str>) -> Markup {
    let (client, schema, table) = job.table();
    html! {
        h2 { "Settings" }
        div .cards {
            section .card aria-label="From where to where" {
                h3 { "From where to where" }
                dl .facts {
                    dt { "Client" } dd { a href=(clients::path(client)) { (parts::cut(client, 60)) } }
                    dt { "Table" } dd { a href=(clients::table_path(client, schema, table)) { (parts::cut(schema, 60)) "." (parts::cut(table, 60)) } }
                    dt { "Backend" } dd { a href=(backends::path(&status.typesense_profile_id)) { (parts::cut(&status.profile_name, 60)) } }
                    dt { "Collection" } dd { code { (job.collection_name) } }
                    dt { "It is now" } dd { (code_if(current)) }
                    dt { "It was before" } dd { (code_if(previous)) }
                }
            }
            section .card aria-label="What becomes of a row" {
                h3 { "What becomes of a row" }
                dl .facts {
                    dt { "Document id" } dd { code { (job.document_id_column) } }
                    dt { "Columns" } dd { (listed(&job.selected_columns, "all")) }
                    dt { "Searches look in" } dd { (listed(&job.query_by_fields, "all texts")) }
                    dt { "Facets" } dd { (listed(&job.facet_by_fields, "none")) }
                    dt { "Sorted by" } dd { (listed(&job.sort_by_fields, "numbers")) }
                    dt { "Default sorting" } dd { (code_if(job.default_sort_field.as_deref())) }
                    @if let Some(embedding) = &job.embedding {
                        dt { "Embedded from" } dd { (listed(&embedding.from, "")) }
                        dt { "Model" } dd { code { (embedding.model) } }
                    }
                }
                @if !job.field_config.is_empty() {
                    details { summary { "Field config" } (parts::json(&job.field_config.clone().into())) }
                }
            }
            section .card aria-label="When and how" {
                h3 { "When and how" }
                dl .facts {
                    dt { "When" } dd { (when(job)) }
                    dt { "How" } dd { (how(job)) }
                    dt { "Cursor column" } dd { (code_if(job.cursor_column.as_deref())) }
                    dt { "Stale after" } dd { (parts::duration(job.stale_after_minutes as f64 * 60.0)) }
                    dt { "Batches" } dd { "of " (parts::count(job.batch_size)) @if job.batch_delay_ms > 0 { ", then " (job.batch_delay_ms) " ms of rest" } }
                    dt { "Refused rows" } dd { "a run fails above " (format!("{:.0} %", job.failed_share_limit * 100.0)) }
                    dt { "Made" } dd { (parts::time(job.created_at)) }
                    dt { "Changed" } dd { (parts::time(job.updated_at)) }
                    dt { "Id" } dd { code { (job.id) } }
                }
            }
        }
    }
}

fn code_if(text: Option<&str>) -> Markup {
    text.map_or_else(parts::dash, |text| html! { code { (text) } })
}

fn listed(names: &[String], otherwise: &str) -> Markup {
    html! {
        @if names.is_empty() { (otherwise) }
        @for (n, name) in names.iter().enumerate() { @if n > 0 { ", " } code { (name) } }
    }
}

fn how(job: &Job) -> &'static str {
    match (&*job.mode, &*job.sync_strategy) {
        ("live", _) => "follows changes as they are committed",
        (_, "full") => "builds a new collection each time, and swaps",
        _ => "writes what has changed, deletes what has vanished",
    }
}

fn when(job: &Job) -> Markup {
    html! {
        @match (&*job.mode, job.sync_interval_minutes, &job.cron) {
            ("live", ..) => "as changes are committed",
            (_, Some(minutes), _) => { "every " (minutes) " min" },
            (_, None, Some(cron)) => { code { (cron) } " (" (job.timezone) ")" },
            (_, None, None) => "when asked",
        }
    }
}
