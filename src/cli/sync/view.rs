//! Sync jobs as they are shown.

use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        sync::{
            job::{self, Job},
            state,
        },
    },
    domain::sync_job::{Mode, Spec, Strategy},
};

use crate::cli::{
    Session,
    output::{maybe, maybe_time, nothing, record, table, time},
    page::PageArgs,
};

/// As the API shows it.
pub(super) fn view(job: &Job) -> Value {
    let mut view = json!(job.spec);
    view["id"] = json!(job.id);
    view["last_synced_at"] = json!(job.last_synced_at);
    view["next_sync_at"] = json!(job.next_sync_at);
    view["last_sync_status"] = json!(job.last_sync_status);
    view["last_sync_error"] = json!(job.last_sync_error);
    view["last_source_row_count"] = json!(job.last_source_row_count);
    view["last_imported_count"] = json!(job.last_imported_count);
    view["last_deleted_count"] = json!(job.last_deleted_count);
    view["last_failed_count"] = json!(job.last_failed_count);
    view["created_at"] = json!(job.created_at);
    view["updated_at"] = json!(job.updated_at);
    view
}

pub(super) async fn show(session: &Session, pool: &PgPool, job: &Job) -> anyhow::Result<()> {
    let backend = db::profile::find(pool, job.spec.typesense_profile_id).await?;
    let state = state::find(pool, job.id).await?;
    let (current, before) = state.map_or((None, None), |state| (state.collection, state.previous_collection));
    let spec = &job.spec;
    session.show(&view(job), || {
        record([
            ("id", job.id.to_string()),
            ("name", spec.name.clone()),
            ("table", table_of(spec)),
            ("backend", maybe(backend.map(|backend| backend.name))),
            ("collection", spec.collection_name.clone()),
            ("… is now", maybe(current)),
            ("… was before", maybe(before)),
            ("document id", spec.document_id_column.clone()),
            ("columns", listed(&spec.selected_columns, "all")),
            ("searches look in", listed(&spec.query_by_fields, "all texts")),
            ("facets", listed(&spec.facet_by_fields, "none")),
            ("sorted by", listed(&spec.sort_by_fields, "numbers")),
            ("default sorting", maybe(spec.default_sort_field.as_ref())),
            (
                "field config",
                if spec.field_config.is_empty() { nothing() } else { json!(spec.field_config).to_string() },
            ),
            ("embedding", maybe(spec.embedding.as_ref().map(|embedding| json!(embedding)))),
            ("how", how(spec).to_owned()),
            ("cursor column", maybe(spec.cursor_column.as_ref())),
            ("when", when(spec)),
            ("stale after", format!("{} min", spec.stale_after_minutes)),
            ("batches", format!("of {}, then {} ms of rest", spec.batch_size, spec.batch_delay_ms)),
            ("failed share", format!("{} at most", spec.failed_share_limit)),
            ("last synced", maybe_time(job.last_synced_at)),
            ("last run", maybe(job.last_sync_status.as_ref())),
            ("last error", maybe(job.last_sync_error.as_ref())),
            ("next run", maybe_time(job.next_sync_at)),
            ("created", time(job.created_at)),
            ("changed", time(job.updated_at)),
        ])
    })
}

pub(super) async fn list(session: &Session, pool: &PgPool, page: &PageArgs) -> anyhow::Result<()> {
    let rows = job::list(pool, page.cursor, page.reads()).await?;
    page.show(
        session,
        &rows,
        |row| row.id,
        view,
        |rows| {
            let lines = rows.iter().map(|Job { id, spec, .. }| {
                [spec.name.clone(), table_of(spec), spec.collection_name.clone(), when(spec), id.to_string()]
            });
            table(["job", "table", "collection", "when", "id"], &[], lines)
        },
    )
}

fn table_of(spec: &Spec) -> String {
    format!("{}/{}.{}", spec.source_client_name, spec.source_schema_name, spec.source_table_name)
}

fn listed(names: &[String], otherwise: &str) -> String {
    if names.is_empty() { otherwise.to_owned() } else { names.join(", ") }
}

fn how(spec: &Spec) -> &'static str {
    match (spec.mode, spec.sync_strategy) {
        (Mode::Live, _) => "follows changes as they are committed",
        (Mode::Scheduled, Strategy::Upsert) => "writes what has changed",
        (Mode::Scheduled, Strategy::Full) => "builds a new collection and swaps",
    }
}

fn when(spec: &Spec) -> String {
    let schedule = match (spec.mode, spec.sync_interval_minutes, &spec.cron) {
        (Mode::Live, ..) => "live".to_owned(),
        (_, Some(minutes), _) => format!("every {minutes} min"),
        (_, None, Some(cron)) => format!("{cron} ({})", spec.timezone),
        (_, None, None) => "when asked".to_owned(),
    };
    match (spec.enabled, spec.auto_sync_enabled) {
        (false, _) => format!("disabled ({schedule})"),
        (true, false) if schedule != "when asked" => format!("when asked ({schedule} is switched off)"),
        (true, _) => schedule,
    }
}
