//! The demo's source: a table of packages, as any database of a user's might have one.

use anyhow::Context;
use reqwest::Url;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tidewell::{dev::debian, domain::sensitive::Sensitive};

use super::{
    catalogue::{Row, invented},
    files::DevJson,
};

/// The database's name, or the schema's.
const NAME: &str = "demo";
pub(super) const TABLE: &str = "packages";
/// Rows that one statement inserts.
const AT_ONCE: usize = 5000;

/// Where the table is.
pub(super) struct Source {
    pub(super) url: Sensitive,
    pub(super) schema: &'static str,
}

/// Makes what is missing: on the embedded server a database of its own, on the user's a schema beside Tidewell's own.
pub(super) async fn make(pool: &PgPool, place: &DevJson, is_embedded: bool) -> anyhow::Result<Source> {
    let mut url = Url::parse(&place.database_url).context("the address of the database can't be read")?;
    let schema = if is_embedded {
        let is_there = sqlx::query_scalar("select exists (select from pg_catalog.pg_database where datname = $1)");
        let is_there: bool = is_there.bind(NAME).fetch_one(pool).await?;
        if !is_there {
            sqlx::query(AssertSqlSafe(format!("create database {NAME}"))).execute(pool).await?;
        }
        url.set_path(NAME);
        "public"
    } else {
        NAME
    };
    let source = Source { url: Sensitive::new(url.as_str()), schema };
    let mut conn = PgConnection::connect(source.url.expose()).await?;
    let filled = fill(&mut conn, schema).await;
    conn.close().await?;
    filled.map(|()| source)
}

/// Makes the table with its rows, in one transaction: it is there whole, or not at all. One that is there is left alone.
async fn fill(conn: &mut PgConnection, schema: &str) -> anyhow::Result<()> {
    let table = format!("{schema}.{TABLE}");
    let is_there: bool =
        sqlx::query_scalar("select to_regclass($1) is not null").bind(&table).fetch_one(&mut *conn).await?;
    if is_there {
        return Ok(());
    }
    let mut tx = conn.begin().await?;
    let make = format!(
        "create schema if not exists {schema};
         create table {table} (
             name text primary key,
             version text not null,
             section text not null,
             priority text not null,
             maintainer text not null,
             description text not null,
             homepage text,
             tags text[] not null,
             -- In KB.
             installed_size bigint not null,
             added_at timestamptz not null default now()
         )"
    );
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut *tx).await?;
    let list = debian::list().await;
    let thought_up: Vec<_> = if list.is_none() { invented().collect() } else { Vec::new() };
    let rows: Vec<Row<'_>> = match &list {
        Some(list) => list.packages().map(Row::from).collect(),
        None => thought_up.iter().map(Row::from).collect(),
    };
    for rows in rows.chunks(AT_ONCE) {
        insert(&mut tx, &table, rows).await?;
    }
    tx.commit().await?;
    // How many rows there are is an estimate of the planner's, until somebody has counted.
    sqlx::raw_sql(AssertSqlSafe(format!("analyze {table}"))).execute(conn).await?;
    Ok(())
}

async fn insert(conn: &mut PgConnection, table: &str, rows: &[Row<'_>]) -> Result<(), sqlx::Error> {
    let insert = format!(
        "insert into {table} (name, version, section, priority, maintainer, description, homepage, tags, installed_size)
         select name, version, section, priority, maintainer, description, homepage, string_to_array(tags, ','), installed_size
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[])
             as row (name, version, section, priority, maintainer, description, homepage, tags, installed_size)"
    );
    let column = |value: fn(&Row<'_>) -> String| rows.iter().map(value).collect::<Vec<_>>();
    sqlx::query(AssertSqlSafe(insert))
        .bind(column(|row| row.name.to_owned()))
        .bind(column(|row| row.version.to_owned()))
        .bind(column(|row| row.section.to_owned()))
        .bind(column(|row| row.priority.to_owned()))
        .bind(column(|row| row.maintainer.to_owned()))
        .bind(column(|row| row.description.to_owned()))
        .bind(rows.iter().map(|row| row.homepage.map(str::to_owned)).collect::<Vec<_>>())
        .bind(column(|row| row.tags.clone()))
        .bind(rows.iter().map(|row| row.installed_size).collect::<Vec<_>>())
        .execute(conn)
        .await
        .map(drop)
}
