//! Tables that change, and runs of the job that compares one of them.

use std::sync::Arc;

use rand::{RngExt, rngs::StdRng};
use reqwest::Method;
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use super::breathe;
use crate::{api::Call, site::Site};

/// Changes rows at random. Whether a change was committed need not be known: the table itself says what must be found.
pub(crate) async fn change(site: Arc<Site>, mut random: StdRng, stop: CancellationToken) -> anyhow::Result<()> {
    for round in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let table = if random.random_bool(0.5) { site.compared.name } else { site.followed.name };
        let (part, of, first) = (random.random_range(0..40), random.random_range(41..60), random.random_range(0..800));
        let statement = match random.random_range(0..6) {
            0..2 => format!("update {table} set title = 'round {round} of ' || id where id % {of} = {part}"),
            2..4 => format!(
                "insert into {table} select n, 'new in round {round}', '[\"new\"]' from generate_series({first}, {first} + 20) as n
                 on conflict do nothing"
            ),
            4 => format!("delete from {table} where id % {of} = {part}"),
            // Tags that are no list, and back: few, for a run of too many has failed.
            _ => format!(
                "update {table} set tags = case when id % 100 = {part} then '{{}}'::jsonb else '[]' end where id % 50 < {part} % 10"
            ),
        };
        // PostgreSQL may be away.
        let _ = sqlx::query(AssertSqlSafe(statement)).execute(&site.source).await;
        breathe(&mut random, &stop, 40..200).await;
    }
    Ok(())
}

/// Asks for a run now and then; where one is under way there is none.
pub(crate) async fn run(site: Arc<Site>, mut random: StdRng, stop: CancellationToken) -> anyhow::Result<()> {
    let path = format!("/typesense/sync-jobs/{}/run", site.compared.id);
    while !stop.is_cancelled() {
        let call = Call { method: Method::POST, path: &path, body: None, idempotency_key: None };
        site.operator.call(&mut random, call, &[202, 409]).await?;
        breathe(&mut random, &stop, 800..2500).await;
    }
    Ok(())
}
