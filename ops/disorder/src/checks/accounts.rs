//! Jobs, units and money.

use std::collections::BTreeMap;

use super::{Check, Violation, some};
use crate::{
    fault::Fault,
    oracle::Oracle,
    site::{BOOKS, COMPAT, FOUND, SHELF, Site},
    workload::Written,
};

/// Units of one reservation where searches are slow, and what is left of it when the next ones are added.
const RESERVED: u64 = 13;

pub(super) async fn jobs_add_up(site: &Site, written: &Written) -> anyhow::Result<Vec<Violation>> {
    let jobs: Vec<(String, i64, bool)> = sqlx::query_as(
        "select id::text, total::bigint,
                finished_at is not null and pending = 0 and retrying = 0 and succeeded + dead + superseded = total
         from tidewell.jobs",
    )
    .fetch_all(&site.pool)
    .await?;
    let open: Vec<_> = jobs.iter().filter(|(.., ended)| !ended).map(|(id, ..)| id).collect();
    let totals: BTreeMap<&str, u64> = jobs.iter().map(|(id, total, _)| (id.as_str(), total.unsigned_abs())).collect();
    let writers = written.books.iter().chain([&written.shelf]);
    let acknowledged = writers.flat_map(|writer| &writer.jobs);
    let wrong: Vec<_> = acknowledged
        .filter(|(id, rows)| totals.get(id.as_str()) != Some(*rows))
        .map(|(id, rows)| (id, rows, totals.get(id.as_str())))
        .collect();
    let violations = [
        some(Check::JobsAddUp, "jobs have not ended, or do not add up", &open),
        some(Check::JobsAddUp, "jobs do not have the rows that were acknowledged (job, acknowledged, counted)", &wrong),
    ];
    Ok(violations.into_iter().flatten().collect())
}

/// Compares what each organization has used with what was acknowledged.
pub(super) async fn usage_is_right(site: &Site, written: &Written) -> anyhow::Result<Vec<Violation>> {
    let used: Vec<(String, i64)> = sqlx::query_as(
        "select slug, coalesce((select sum(used) from tidewell.usage where organization_id = organizations.id), 0)::bigint
         from tidewell.organizations",
    )
    .fetch_all(&site.pool)
    .await?;
    let used: BTreeMap<String, u64> = used.into_iter().map(|(slug, used)| (slug, used.unsigned_abs())).collect();
    let (reindexed, perhaps_reindexed) = reindexed(site, written).await?;
    let accepted = |oracles: &[Oracle]| oracles.iter().map(|oracle| oracle.accepted).sum::<u64>();
    let searched = &written.searched;
    let faults = site.tally.counts();
    // Whoever loses the database in the middle of a reservation does not know of it, as if it had been killed.
    let losing = [Fault::KillServe, Fault::MoveClock, Fault::StopPostgres, Fault::CrashPostgres, Fault::CutDatabase];
    let lost: u64 = losing.iter().filter_map(|fault| faults.get(fault.name())).sum::<u64>() * RESERVED * 2;
    let mut violations = Vec::new();
    for (slug, least, spare, check) in [
        (BOOKS, accepted(&written.books) + reindexed, perhaps_reindexed, Check::WritesAreChargedOnce),
        (SHELF, written.shelf.accepted, 0, Check::WritesAreChargedOnce),
        (COMPAT, written.compat.accepted, written.compat.perhaps_accepted, Check::WritesAreChargedOnce),
        (FOUND, searched.written + searched.answered, searched.perhaps + lost, Check::SearchesAreChargedOnce),
    ] {
        let used = used.get(slug).copied().unwrap_or_default();
        if !(least..=least + spare).contains(&used) {
            let what = format!("{slug} has used {used} units, not {least} to {}", least + spare);
            violations.push(Violation::new(check, what));
        }
    }
    Ok(violations)
}

/// Units of reindexes: those that were told, and the most that the others may have cost, whose answer was lost.
async fn reindexed(site: &Site, written: &Written) -> anyhow::Result<(u64, u64)> {
    let all: Vec<(String, i64)> =
        sqlx::query_as("select id::text, total from tidewell.reindexes where kind = 'reindex'")
            .fetch_all(&site.pool)
            .await?;
    let perhaps =
        all.iter().filter(|(id, _)| !written.reindexed.contains_key(id)).map(|(_, total)| total.unsigned_abs());
    Ok((written.reindexed.values().sum(), perhaps.sum()))
}

pub(super) async fn wallets_add_up(site: &Site) -> anyhow::Result<Vec<Violation>> {
    let wrong: Vec<(String, i64, i64, i64, i64, i64, i64)> = sqlx::query_as(
        "with sums as (
             select slug, wallet_minor, wallet_reserved_minor, overage_minor_per_thousand, monthly_units,
                    coalesce((select sum(amount_minor) from tidewell.wallet_entries where organization_id = organizations.id), 0)::bigint
                        as free,
                    coalesce((select sum(reserved_minor) from tidewell.wallet_entries where organization_id = organizations.id), 0)::bigint
                        as reserved,
                    coalesce((select sum(-amount_minor) from tidewell.wallet_entries
                              where organization_id = organizations.id and kind <> 'top_up'), 0)::bigint as paid,
                    coalesce((select sum(greatest(used - monthly_units + 999, 0) / 1000) from tidewell.usage
                              where organization_id = organizations.id), 0)::bigint as thousands
             from tidewell.organizations join tidewell.plans on plans.name = organizations.plan
         )
         select slug, wallet_minor, free, wallet_reserved_minor, reserved, paid, thousands * overage_minor_per_thousand from sums
         where wallet_minor <> free or wallet_reserved_minor <> reserved or wallet_reserved_minor <> 0
            or (monthly_units is not null and paid <> thousands * overage_minor_per_thousand)",
    )
    .fetch_all(&site.pool)
    .await?;
    let what = "wallets are wrong (organization, free, in the ledger, reserved, in the ledger, paid, used)";
    Ok(some(Check::WalletsAddUp, what, &wrong).into_iter().collect())
}
