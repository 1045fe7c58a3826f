//! What of the source's changes the stream is shown.

use sqlx::{AssertSqlSafe, PgConnection, postgres::types::Oid};

use super::{Error, Target, list, quoted};

/// A publication that shows every change of one table.
#[derive(Debug, PartialEq, sqlx::FromRow)]
pub(super) struct Publication {
    pub(super) table: Oid,
    /// The columns that it shows, sorted; `None`: all.
    pub(super) columns: Option<Vec<String>>,
}

impl Publication {
    /// The publication of this name, if it shows every change of one table.
    pub(super) async fn find(
        source: &mut PgConnection,
        name: &str,
        has_column_lists: bool,
    ) -> Result<Option<Self>, Error> {
        let (columns, all_rows) = if has_column_lists {
            (
                "case when r.prattrs is not null then array(
                    select attname::text from pg_attribute
                    where attrelid = r.prrelid and attnum = any (r.prattrs::int2[]) order by attname
                ) end",
                "r.prqual is null",
            )
        } else {
            ("null::text[]", "true")
        };
        let find = format!(
            "select r.prrelid as \"table\", {columns} as columns
            from pg_publication as p join pg_publication_rel as r on r.prpubid = p.oid
            where p.pubname = $1 and not p.puballtables and p.pubviaroot and {all_rows}
              and p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate
              and 1 = (select count(*) from pg_publication_rel where prpubid = p.oid)"
        );
        Ok(sqlx::query_as(AssertSqlSafe(find)).bind(name).fetch_optional(source).await?)
    }

    /// Makes it, in place of the one of that name.
    ///
    /// # Errors
    /// [`Error::Setup`] where the role may not.
    pub(super) async fn make(&self, source: &mut PgConnection, target: &Target) -> Result<(), Error> {
        let columns = self.columns.as_deref().map(|names| format!(" ({})", list(names))).unwrap_or_default();
        let create = format!(
            "create publication {} for table {}.{}{columns} with (publish_via_partition_root = true)",
            quoted(&target.name),
            quoted(&target.schema),
            quoted(&target.table)
        );
        let made = async {
            drop_publication(source, &target.name).await?;
            sqlx::query(AssertSqlSafe(create.clone())).execute(source).await?;
            Ok(())
        };
        made.await.map_err(|error| match error {
            Error::Refused { code, message } if code == "42501" => Error::Setup(format!(
                "{message}: have the table's owner, who must be allowed to create in the database, run \
                 `drop publication if exists {}; {create}`",
                quoted(&target.name)
            )),
            error => error,
        })
    }
}

/// Drops a publication, if there is one.
///
/// # Errors
/// See [`Error`]: not reached, not allowed.
pub async fn drop_publication(source: &mut PgConnection, name: &str) -> Result<(), Error> {
    let drop_it = format!("drop publication if exists {}", quoted(name));
    sqlx::query(AssertSqlSafe(drop_it)).execute(source).await?;
    Ok(())
}
