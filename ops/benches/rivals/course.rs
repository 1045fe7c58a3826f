//! What each rival is put through, and the facts that come of it.

use std::time::Duration;

use super::{Rival, Told};
use crate::{raw::Typesense, sync::Source};

/// What a bad row is known by in whatever a rival says.
pub(super) const BAD: &str = "unmistakable";
/// What the course is called, where a name is needed.
const NAME: &str = "course";
/// A price that nothing has had before.
const MARK: f64 = 1_234_567.0;
const CHANGED_BESIDE: i64 = 100;

/// What was measured of one rival.
#[derive(Debug)]
pub(super) struct Course {
    first: f64,
    unchanged: f64,
    changed: f64,
    left_behind: f64,
    is_named: f64,
    arrived: f64,
    mended: f64,
    resumed: f64,
    missing_after_kill: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Better {
    More,
    Less,
}

pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    /// Which is better, where a ratio means something.
    pub(super) better: Option<Better>,
    pub(super) of: fn(&Course) -> f64,
}

pub(super) const FACTS: [Fact; 9] = [
    fact("first", "a first run", "rows/s", Some(Better::More), |course| course.first),
    fact("unchanged", "a run when nothing has changed", "s", Some(Better::Less), |course| course.unchanged),
    fact("changed", "a run when a hundredth has changed", "s", Some(Better::Less), |course| course.changed),
    fact("left_behind", "documents that stay though their rows are gone, a thousandth", "documents", None, |course| {
        course.left_behind
    }),
    fact("bad_named", "1: what is said of a run names the row that was refused", "", None, |course| course.is_named),
    fact("bad_passed", "the share of a hundred changes beside a bad row that arrive", "", None, |course| {
        course.arrived
    }),
    fact("bad_mended", "1: the next run brings the bad row once it is mended", "", None, |course| course.mended),
    fact("resumed", "a run after a kill half way", "s", Some(Better::Less), |course| course.resumed),
    fact("resumed_missing", "documents that are missing after that", "documents", None, |course| {
        course.missing_after_kill
    }),
];

const fn fact(
    name: &'static str,
    what: &'static str,
    unit: &'static str,
    better: Option<Better>,
    of: fn(&Course) -> f64,
) -> Fact {
    Fact { name, what, unit, better, of }
}

pub(super) async fn run(
    rival: &mut Rival<'_>,
    source: &Source,
    typesense: &Typesense,
    count: usize,
) -> anyhow::Result<Course> {
    let collection = rival.collection(NAME);
    let first = took(rival, "first").await?;
    let arrived = typesense.count(&collection).await?;
    anyhow::ensure!(arrived == count as u64, "{arrived} of {count} documents are there: {}", first.text);
    let unchanged = took(rival, "unchanged").await?;
    sqlx::query("update products set price = price + 1 where id % 100 = 50").execute(&source.pool).await?;
    let changed = took(rival, "changed").await?;
    let gone = sqlx::query("delete from products where id % 1000 = 1").execute(&source.pool).await?.rows_affected();
    took(rival, "deleted").await?;
    let left_behind = typesense.count(&collection).await? - (count as u64 - gone);
    sqlx::query(r#"update products set title = $1, tags = '{"not": "an array"}' where id = 2"#)
        .bind(BAD)
        .execute(&source.pool)
        .await?;
    sqlx::query(
        "update products set price = $1 where id in (select id from products where id > 2 order by id limit $2)",
    )
    .bind(MARK)
    .bind(CHANGED_BESIDE)
    .execute(&source.pool)
    .await?;
    let bad = took(rival, "with a bad row").await?;
    let marked = typesense.found(&collection, &format!("price:={MARK}")).await?;
    sqlx::query(r#"update products set tags = '["new"]' where id = 2"#).execute(&source.pool).await?;
    took(rival, "mended").await?;
    let mended = typesense.found(&collection, &format!("title:={BAD}")).await?;
    let (resumed, missing) = killed(rival, source, typesense).await?;
    Ok(Course {
        first: count as f64 / first.seconds,
        unchanged: unchanged.seconds,
        changed: changed.seconds,
        left_behind: left_behind as f64,
        is_named: f64::from(bad.text.contains(BAD)),
        mended: mended as f64,
        arrived: marked as f64 / CHANGED_BESIDE as f64,
        resumed: resumed.seconds,
        missing_after_kill: missing as f64,
    })
}

async fn took(rival: &mut Rival<'_>, what: &str) -> anyhow::Result<Told> {
    let told = rival.run(NAME).await?;
    eprintln!("    {what}: {:.2} s", told.seconds);
    Ok(told)
}

/// A first run that is killed once half of the documents are there, and the one after it.
async fn killed(rival: &mut Rival<'_>, source: &Source, typesense: &Typesense) -> anyhow::Result<(Told, u64)> {
    const KILLED: &str = "killed";
    let rows: i64 = sqlx::query_scalar("select count(*) from products").fetch_one(&source.pool).await?;
    rival.run_and_die(KILLED, rows as u64 / 2, typesense).await?;
    let told = rival.go_on(KILLED).await?;
    let there = typesense.count(&rival.collection(KILLED)).await?;
    eprintln!("    after a kill: {:.2} s, {there} of {rows} documents", told.seconds);
    Ok((told, rows as u64 - there.min(rows as u64)))
}

/// Waits until so many documents are there.
pub(super) async fn wait_for(typesense: &Typesense, collection: &str, at: u64) -> anyhow::Result<()> {
    while typesense.count(collection).await? < at {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
