//! What there is to sync in a source database.

use serde::Serialize;
use sqlx::FromRow;

use super::{Error, Source};

/// A relation that this role may read.
#[derive(Clone, Debug, FromRow, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SourceTable)]
pub struct Table {
    pub schema: String,
    pub name: String,
    /// `table`, `view`, `materialized view` or `foreign table`.
    pub kind: String,
    /// As the planner estimates them; null where it does not know.
    #[schema(required)]
    pub estimated_rows: Option<i64>,
}

impl Source {
    /// Every relation outside the system's schemas that this role may read, by name.
    pub async fn tables(&mut self) -> Result<Vec<Table>, Error> {
        sqlx::query_as(
            "select nspname::text as schema, relname::text as name,
                    case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' else 'table' end
                        as kind,
                    nullif(greatest(reltuples, -1), -1)::int8 as estimated_rows
             from pg_catalog.pg_class
             join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
             where relkind in ('r', 'p', 'v', 'm', 'f') and not relispartition
               and nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and nspname !~ '^pg_temp_'
               and has_schema_privilege(pg_namespace.oid, 'usage') and has_table_privilege(pg_class.oid, 'select')
             order by nspname, relname",
        )
        .persistent(false)
        .fetch_all(&mut self.conn)
        .await
        .map_err(Error::of)
    }
}
