//! Whether the changes of a table can be followed by its key.

use std::collections::BTreeSet;

use sqlx::{PgConnection, postgres::types::Oid};

use super::{Error, Target, list};

/// The table that is followed.
pub(super) struct Table {
    pub(super) id: Oid,
}

/// A table that holds rows: the table itself, a partition, or what inherits from it.
#[derive(sqlx::FromRow)]
pub(super) struct Part {
    id: Oid,
    /// As SQL takes it.
    name: String,
    kind: String,
    is_logged: bool,
    /// Its columns that tell which row was changed, sorted. `None`: all of them.
    identity: Option<Vec<String>>,
}

impl Table {
    /// Finds the table, if it is one and has the columns.
    pub(super) async fn find(source: &mut PgConnection, target: &Target) -> Result<Self, Error> {
        const FIND: &str = "select c.oid, c.relkind::text,
                array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0 and attgenerated = '')
            from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
            where n.nspname = $1 and c.relname = $2";
        let Target { schema, table, key_columns, .. } = target;
        let found: Option<(Oid, String, Vec<String>)> =
            sqlx::query_as(FIND).bind(schema).bind(table).fetch_optional(source).await?;
        let (id, kind, columns) =
            found.ok_or_else(|| Error::Setup(format!("there is no table {schema}.{table} at the source")))?;
        if !["r", "p"].contains(&kind.as_str()) {
            return Err(Error::Setup(format!(
                "{schema}.{table} is not a table: only a table's changes can be followed"
            )));
        }
        match key_columns.iter().find(|column| !columns.contains(column)) {
            Some(column) => Err(Error::Setup(format!(
                "{schema}.{table} has no column {column} that is stored as it is written: choose others as the document id"
            ))),
            None => Ok(Self { id }),
        }
    }

    /// The tables that hold its rows.
    pub(super) async fn parts(&self, source: &mut PgConnection) -> Result<Vec<Part>, Error> {
        const PARTS: &str = "with recursive parts as (
                select $1 as id
                union
                select inhrelid from pg_inherits join parts on inhparent = id
            )
            select id, format('%I.%I', n.nspname, c.relname) as name, c.relkind::text as kind,
                c.relpersistence = 'p' as is_logged,
                case when c.relreplident <> 'f' then array(
                    select a.attname::text
                    from pg_index as i
                    cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, place)
                    join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
                    where i.indrelid = id and k.place <= i.indnkeyatts and i.indisvalid and i.indimmediate
                      and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end
                    order by a.attname
                ) end as identity
            from parts join pg_class as c on c.oid = id join pg_namespace as n on n.oid = c.relnamespace
            where c.relkind <> 'p'
            order by name";
        Ok(sqlx::query_as(PARTS).bind(self.id).fetch_all(source).await?)
    }

    /// The columns to publish: those that the rows are identified by, of whatever part. `None`: all, for a table whose identity is
    /// the whole row takes no list.
    pub(super) fn columns_to_publish(&self, parts: &[Part]) -> Option<Vec<String>> {
        let identities: Option<Vec<_>> = parts.iter().map(|part| part.identity.as_deref()).collect();
        let columns: BTreeSet<&String> = identities?.into_iter().flatten().collect();
        (!columns.is_empty()).then(|| columns.into_iter().cloned().collect())
    }
}

impl Part {
    /// Makes sure that each of its changes tells the key, and that publishing it gets in nobody's way: updates of a published table
    /// without an identity fail.
    pub(super) async fn check(&self, source: &mut PgConnection, target: &Target) -> Result<(), Error> {
        let Self { name, kind, identity, .. } = self;
        if kind != "r" {
            return Err(Error::Setup(format!("{name} is a foreign table, whose changes can't be followed")));
        }
        if !self.is_logged {
            return Err(Error::Setup(format!(
                "{name} is unlogged or temporary, so its changes are not kept: run `alter table {name} set logged`"
            )));
        }
        let Some(identity) = identity else { return Ok(()) };
        let missing: Vec<_> = target.key_columns.iter().filter(|key| !identity.contains(key)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let fault = if identity.is_empty() {
            format!("updates and deletes in {name} don't tell which row they changed")
        } else {
            format!("updates and deletes in {name} tell {} and not {}", list(identity), list(&missing))
        };
        let cure = match self.index_for(source, &target.key_columns).await? {
            Some(index) => format!("run `alter table {name} replica identity using index {index}`"),
            None => format!(
                "make {0} not null, run `create unique index concurrently on {name} ({0})`, and then, with that index's name, \
                 `alter table {name} replica identity using index …`; or run `alter table {name} replica identity full`, \
                 with which updates cost more",
                list(&target.key_columns)
            ),
        };
        Err(Error::Setup(format!("{fault}: {cure}")))
    }

    /// An index that can identify rows and holds these columns.
    async fn index_for(&self, source: &mut PgConnection, columns: &[String]) -> Result<Option<String>, Error> {
        const FIND: &str = "select quote_ident(c.relname)
            from pg_index as i join pg_class as c on c.oid = i.indexrelid
            cross join lateral (
                select array_agg(a.attname::text) as names, bool_and(coalesce(a.attnotnull, false)) as are_there
                from unnest(i.indkey::int2[]) with ordinality as k (attnum, place)
                left join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
                where k.place <= i.indnkeyatts
            ) as held
            where i.indrelid = $1 and i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null
              and held.are_there and held.names @> $2
            order by cardinality(held.names), c.relname limit 1";
        Ok(sqlx::query_scalar(FIND).bind(self.id).bind(columns).fetch_optional(source).await?)
    }
}
