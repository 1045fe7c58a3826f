//! What is under way on indexes, and what their versions that are not live are behind.

use serde::Serialize;
use sqlx::{FromRow, PgPool};

use super::COUNTED_TO;
use crate::db::reindex::{Kind, Phase, Status};

/// A reindex or a rollback that has not ended.
#[derive(Clone, Debug, FromRow, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReindexStatus {
    pub organization: String,
    pub index: String,
    pub version: i32,
    pub kind: Kind,
    pub status: Status,
    pub phase: Phase,
    /// From 0 to 1.
    pub progress: f64,
    pub refused: i64,
    /// What it waits for.
    pub error: Option<String>,
}

/// A version that is being built, or is kept for a rollback.
#[derive(Clone, Debug, FromRow, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionStatus {
    pub organization: String,
    pub index: String,
    pub version: i32,
    /// Documents that have changed since, counted to 10,000.
    pub changes: i64,
}

/// Those that have not ended, the oldest first.
pub(super) async fn under_way(pool: &PgPool) -> Result<Vec<ReindexStatus>, sqlx::Error> {
    sqlx::query_as(
        "select organizations.slug as organization, indexes.slug as index, number as version, kind, status, phase, refused, error,
                case total when 0 then 0 else least(1, done::float8 / total) end as progress
         from tidewell.reindexes
         join tidewell.indexes on indexes.id = reindexes.index_id
         join tidewell.organizations on organizations.id = indexes.organization_id
         where status in ('queued', 'running')
         order by reindexes.id",
    )
    .fetch_all(pool)
    .await
}

/// Versions that changes are listed for.
pub(super) async fn behind(pool: &PgPool) -> Result<Vec<VersionStatus>, sqlx::Error> {
    sqlx::query_as(
        "select organizations.slug as organization, indexes.slug as index, version.number as version, changes.count as changes
         from tidewell.index_versions as version
         join tidewell.indexes on indexes.id = version.index_id
         join tidewell.organizations on organizations.id = indexes.organization_id
         cross join lateral (
             select count(*)
             from (select from tidewell.version_changes as change
                   where change.index_id = version.index_id and change.number = version.number limit $1) as counted
         ) as changes
         where version.state in ('building', 'retired')
         order by organization, index, version",
    )
    .bind(COUNTED_TO)
    .fetch_all(pool)
    .await
}
