//! Whether everything has come to rest.

use std::time::Duration;

use tokio::time::Instant;

use super::{Check, Violation};
use crate::site::Site;

/// What must be empty when nothing is under way.
const WAITING: &str = "
    select name, count from (values
        ('rows in the outbox', (select count(*) from tidewell.outbox)),
        ('deletes by filter', (select count(*) from tidewell.filter_deletes)),
        ('flights', (select count(*) from tidewell.flights)),
        ('flights of versions', (select count(*) from tidewell.version_flights)),
        ('reindexes', (select count(*) from tidewell.reindexes where status in ('queued', 'running'))),
        ('runs', (select count(*) from public.typesense_sync_runs where status in ('queued', 'running', 'paused'))),
        ('reservations', (select count(*) from tidewell.reservations)),
        ('backlog', (select (select coalesce(sum(accepted), 0) from tidewell.backlogs)
                          - (select coalesce(sum(settled), 0) from tidewell.lanes))::bigint)
    ) as waiting (name, count)
    where count <> 0";

/// Waits until nothing is under way.
pub(crate) async fn comes(site: &Site, patience: Duration) -> anyhow::Result<Option<Violation>> {
    let until = Instant::now() + patience;
    loop {
        let waiting: Vec<(String, i64)> = sqlx::query_as(WAITING).fetch_all(&site.pool).await?;
        if waiting.is_empty() {
            return Ok(None);
        }
        if Instant::now() > until {
            let what = format!("after {} s there are still {waiting:?}", patience.as_secs());
            return Ok(Some(Violation::new(Check::NothingIsLeftBehind, what)));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Tells all processes to end, and waits for that.
pub(crate) async fn stop(site: &Site) -> Vec<Violation> {
    let mut violations = Vec::new();
    for replica in site.works.iter().chain(&site.serves) {
        let mut replica = replica.lock().await;
        if !replica.stop().await {
            let what = format!("{} did not end in good order", replica.name);
            violations.push(Violation::new(Check::NothingIsLeftBehind, what));
        }
    }
    violations
}

/// Once all processes have ended, nobody holds anything.
pub(super) async fn nothing_is_leased(site: &Site) -> anyhow::Result<Option<Violation>> {
    let leased: Vec<(String, i64)> = sqlx::query_as(
        "select name, count from (values
             ('lanes', (select count(*) from tidewell.lanes where leased_until > clock_timestamp())),
             ('reindexes', (select count(*) from tidewell.reindexes where leased_until > clock_timestamp())),
             ('sync jobs', (select count(*) from tidewell.sync_states where leased_until > clock_timestamp())),
             ('deletes by filter', (select count(*) from tidewell.filter_deletes where leased_until > clock_timestamp())),
             ('flights of runs', (select count(*) from tidewell.sync_flights)),
             ('reservations', (select count(*) from tidewell.reservations))
         ) as leased (name, count)
         where count <> 0",
    )
    .fetch_all(&site.pool)
    .await?;
    let what = || format!("all processes have ended, and something is still held: {leased:?}");
    Ok((!leased.is_empty()).then(|| Violation::new(Check::NothingIsLeftBehind, what())))
}
