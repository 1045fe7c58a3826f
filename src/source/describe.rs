//! What a table, view or materialised view is like.

use sqlx::FromRow;

use super::{Error, Source};

/// What kind of relation rows are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    Table,
    PartitionedTable,
    View,
    MaterializedView,
    ForeignTable,
}

impl RelationKind {
    fn of(relkind: i8) -> Option<Self> {
        match u8::try_from(relkind).ok()? {
            b'r' => Some(Self::Table),
            b'p' => Some(Self::PartitionedTable),
            b'v' => Some(Self::View),
            b'm' => Some(Self::MaterializedView),
            b'f' => Some(Self::ForeignTable),
            _ => None,
        }
    }

    /// As people call it; a table in partitions is a table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table | Self::PartitionedTable => "table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::ForeignTable => "foreign table",
        }
    }

    /// Whether its catalogue tells of unique keys and of columns that are never null.
    pub fn has_constraints(self) -> bool {
        matches!(self, Self::Table | Self::PartitionedTable)
    }
}

/// A column, with its type seen through domains and arrays.
#[derive(Clone, Debug, FromRow)]
pub struct Column {
    pub name: String,
    /// The type as it was declared, such as `numeric(10,2)[]`.
    pub declared: String,
    pub not_null: bool,
    pub is_array: bool,
    /// The element's or the scalar's type: `int8`, `timestamptz`, a user's own.
    pub base_type: String,
    /// `pg_type.typtype`: `b` base, `c` composite, `e` enum, `r` range.
    #[sqlx(try_from = "i8")]
    pub base_class: Class,
    /// The type's name as a statement casts to it, whatever the search path.
    pub cast: String,
}

/// `pg_type.typtype`, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Composite,
    Enum,
    Other,
}

impl From<i8> for Class {
    fn from(typtype: i8) -> Self {
        match u8::try_from(typtype) {
            Ok(b'c') => Self::Composite,
            Ok(b'e') => Self::Enum,
            _ => Self::Other,
        }
    }
}

/// A relation that rows can be read from.
#[derive(Clone, Debug)]
pub struct Relation {
    pub schema: String,
    pub name: String,
    pub kind: RelationKind,
    /// In their order.
    pub columns: Vec<Column>,
    /// The columns of each unique index over whole rows, in the index's order; the primary key first.
    pub unique_keys: Vec<Vec<String>>,
    /// Rows as the planner estimates them; negative where it does not know.
    pub estimated_rows: f32,
}

impl Relation {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Source {
    /// Describes a relation; `None` where there is none of that name that this role can see.
    pub async fn describe(&mut self, schema: &str, name: &str) -> Result<Option<Relation>, Error> {
        let found: Option<(i64, i8, f32)> = sqlx::query_as(
            "select class.oid::int8, class.relkind, class.reltuples
             from pg_catalog.pg_class as class
             join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
             where namespace.nspname = $1 and class.relname = $2",
        )
        .persistent(false)
        .bind(schema)
        .bind(name)
        .fetch_optional(&mut self.conn)
        .await
        .map_err(Error::of)?;
        let Some((oid, relkind, estimated_rows)) = found else { return Ok(None) };
        let Some(kind) = RelationKind::of(relkind) else { return Ok(None) };
        Ok(Some(Relation {
            schema: schema.to_owned(),
            name: name.to_owned(),
            kind,
            columns: self.columns(oid).await?,
            unique_keys: self.unique_keys(oid).await?,
            estimated_rows,
        }))
    }

    async fn columns(&mut self, relation: i64) -> Result<Vec<Column>, Error> {
        sqlx::query_as(
            "with recursive resolved as (
                 select attnum, atttypid as type, false as is_array
                 from pg_catalog.pg_attribute
                 where attrelid = $1::oid and attnum > 0 and not attisdropped
                 union all
                 select attnum, case when typtype = 'd' then typbasetype else typelem end, is_array or typtype <> 'd'
                 from resolved join pg_catalog.pg_type on pg_type.oid = resolved.type
                 where typtype = 'd' or (typcategory = 'A' and typelem <> 0 and not is_array)
             )
             select attname::text as name, format_type(atttypid, atttypmod) as declared, attnotnull as not_null,
                    resolved.is_array, pg_type.typname::text as base_type, pg_type.typtype as base_class,
                    quote_ident(declared_namespace.nspname) || '.' || quote_ident(declared_type.typname) as cast
             from resolved
             join pg_catalog.pg_type on pg_type.oid = resolved.type
             join pg_catalog.pg_attribute on pg_attribute.attrelid = $1::oid and pg_attribute.attnum = resolved.attnum
             join pg_catalog.pg_type as declared_type on declared_type.oid = atttypid
             join pg_catalog.pg_namespace as declared_namespace on declared_namespace.oid = declared_type.typnamespace
             where pg_type.typtype <> 'd' and not (pg_type.typcategory = 'A' and pg_type.typelem <> 0 and not resolved.is_array)
             order by resolved.attnum",
        )
        .persistent(false)
        .bind(relation)
        .fetch_all(&mut self.conn)
        .await
        .map_err(Error::of)
    }

    async fn unique_keys(&mut self, relation: i64) -> Result<Vec<Vec<String>>, Error> {
        sqlx::query_scalar(
            "select array_agg(attname::text order by place)
             from pg_catalog.pg_index
             cross join lateral unnest(indkey::int2[]) with ordinality as key (attnum, place)
             join pg_catalog.pg_attribute on attrelid = indrelid and pg_attribute.attnum = key.attnum
             where indrelid = $1::oid and indisunique and indisvalid and indpred is null and indexprs is null
               and place <= indnkeyatts
             group by indexrelid, indisprimary
             order by indisprimary desc, count(*), indexrelid",
        )
        .persistent(false)
        .bind(relation)
        .fetch_all(&mut self.conn)
        .await
        .map_err(Error::of)
    }
}

/// A column of a base type, for tests of what is made of it.
#[cfg(test)]
pub(crate) fn column_of(name: &str, base_type: &str, not_null: bool) -> Column {
    Column {
        name: name.to_owned(),
        declared: base_type.to_owned(),
        not_null,
        is_array: false,
        base_type: base_type.to_owned(),
        base_class: Class::Other,
        cast: format!("pg_catalog.{base_type}"),
    }
}
