//! Backends as they are shown, without their keys.

use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::db::{self, profile::Profile};

use crate::cli::{
    Session,
    output::{record, table, time},
    page::PageArgs,
};

pub(super) fn view(backend: &Profile) -> Value {
    json!({
        "id": backend.id,
        "name": backend.name,
        "base_url": backend.base_url,
        "further_urls": backend.further_urls,
        "timeout_ms": backend.timeout_ms,
        "has_search_key": backend.search_api_key_encrypted.is_some(),
        "created_at": backend.created_at,
        "updated_at": backend.updated_at,
    })
}

pub(super) fn show(session: &Session, backend: &Profile) -> anyhow::Result<()> {
    session.show(&view(backend), || {
        record([
            ("id", backend.id.to_string()),
            ("name", backend.name.clone()),
            ("nodes", backend.nodes().join(" ")),
            ("time-out", format!("{} ms", backend.timeout_ms)),
            ("search key", if backend.search_api_key_encrypted.is_some() { "of its own" } else { "none" }.to_owned()),
            ("created", time(backend.created_at)),
            ("changed", time(backend.updated_at)),
        ])
    })
}

pub(super) async fn list(session: &Session, pool: &PgPool, page: &PageArgs) -> anyhow::Result<()> {
    let rows = db::profile::list(pool, page.cursor, page.reads()).await?;
    page.show(
        session,
        &rows,
        |row| row.id,
        view,
        |rows| {
            let lines = rows.iter().map(|row| [row.name.clone(), row.nodes().join(" "), row.id.to_string()]);
            table(["name", "nodes", "id"], &[], lines)
        },
    )
}
