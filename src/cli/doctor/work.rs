//! Whether the work is done: workers, what waits, what has failed, how fresh the tables are.

use sqlx::PgPool;
use tidewell::db::{
    checkup,
    status::{self, Status},
};

use super::finding::{Finding, judged, listed};
use crate::cli::{Session, output::age};

/// A write that has waited for longer is late.
const LATE_SECONDS: f64 = 300.0;

pub(super) async fn check(session: &Session, pool: &PgPool) -> Vec<Finding> {
    let status = match status::read(pool).await {
        Ok(status) => status,
        Err(error) => return vec![Finding::unknown("workers", error)],
    };
    let mut findings = vec![workers(&status)];
    findings.extend(breakers(session, &status));
    findings.push(backlog(session, &status));
    findings.push(dead_letters(&status));
    findings.push(drift(&status));
    findings.push(reindexes(&status));
    findings.extend(syncs(&status));
    findings.push(judged("ticks", checkup::no_tick(pool).await, |none| match none {
        false => Finding::ok("ticks", "workers look after what is due"),
        true => Finding::problem(
            "ticks",
            "no worker has ticked for five minutes",
            "look at their log, and start them again",
        ),
    }));
    findings.push(judged("wake_ups", checkup::late_wake_ups(pool).await, |late| {
        let late: Vec<String> = late.into_iter().map(|(queue, count)| format!("{count} of {queue}")).collect();
        match late.as_slice() {
            [] => Finding::ok("wake_ups", "none is late"),
            _ => Finding::warning(
                "wake_ups",
                format!("nobody has taken these for five minutes: {}", listed(&late)),
                "start `tidewell work`, or more of it",
            ),
        }
    }));
    findings.push(judged("schedule", checkup::unscheduled_syncs(pool).await, |due| match due.as_slice() {
        [] => Finding::ok("schedule", "every due sync has its run"),
        _ => Finding::problem(
            "schedule",
            format!("due for five minutes without a run: {}", listed(&due)),
            "start `tidewell work` with ATHENA_TYPESENSE_SYNC_WORKER_ENABLED=true and TIDEWELL_SECRET",
        ),
    }));
    findings.push(judged("sync_runs", checkup::stuck_runs(pool).await, |stuck| match stuck.as_slice() {
        [] => Finding::ok("sync_runs", "none is stuck"),
        _ => Finding::problem(
            "sync_runs",
            format!("nobody is at the runs of {}", listed(&stuck)),
            "start `tidewell work` with TIDEWELL_SECRET; `tidewell sync cancel` gives a run up",
        ),
    }));
    findings
}

fn workers(status: &Status) -> Finding {
    match status.workers.iter().filter(|worker| worker.alive).count() {
        0 => Finding::problem("workers", "nobody is at work: writes are accepted and wait", "start `tidewell work`"),
        alive => Finding::ok("workers", format!("{alive} at work")),
    }
}

/// How each worker sees its Typesense.
fn breakers(session: &Session, status: &Status) -> Vec<Finding> {
    let configured = session.typesense().ok().map(|client| client.addresses().to_owned());
    let alive = status.workers.iter().filter(|worker| worker.alive);
    let found = alive.filter_map(|worker| {
        let reason = worker.breaker_reason.as_deref().unwrap_or("no reason given");
        let elsewhere = configured.as_ref().is_some_and(|configured| *configured != worker.backend);
        let finding = if worker.breaker != "closed" {
            Finding::problem(
                "breaker",
                format!("it sends nothing to {}: {reason}", worker.backend),
                "mend what is said; the worker tries again by itself",
            )
        } else if elsewhere {
            Finding::warning(
                "breaker",
                format!("it writes to {}, which is not the Typesense of these settings", worker.backend),
                "set TIDEWELL_TYPESENSE_URL alike everywhere: all processes of a database share one Typesense",
            )
        } else if let Some(trouble) = &worker.embedding_trouble {
            Finding::warning("breaker", format!("documents go without vectors: {trouble}"), "mend the model")
        } else {
            return None;
        };
        Some(finding.of(&worker.name))
    });
    found.collect()
}

fn backlog(session: &Session, status: &Status) -> Finding {
    const CHECK: &str = "backlog";
    let waiting: i64 = status.indexes.iter().map(|index| index.backlog).sum();
    let oldest = status.indexes.iter().filter_map(|index| index.oldest_age_seconds).fold(0.0, f64::max);
    let fullest = status.indexes.iter().map(|index| index.backlog).max().unwrap_or_default();
    let found = format!("{waiting} writes wait, the oldest for {}", age(oldest));
    if fullest >= i64::from(session.config.backlog_limit) {
        return Finding::problem(
            CHECK,
            format!("{found}; an index has reached TIDEWELL_BACKLOG_LIMIT, and its writes are refused"),
            "see `tidewell status` for what holds it up; give Typesense more processors where it is busy",
        );
    }
    match oldest < LATE_SECONDS {
        true => Finding::ok(CHECK, found),
        false => Finding::warning(CHECK, found, "see `tidewell status`: a breaker, retries, or too little Typesense"),
    }
}

fn dead_letters(status: &Status) -> Finding {
    let of_indexes = status.indexes.iter().map(|index| index.dead_letters);
    let of_syncs = status.syncs.iter().map(|sync| sync.dead_letters);
    match of_indexes.chain(of_syncs).sum::<i64>() {
        0 => Finding::ok("dead_letters", "none"),
        count => Finding::warning(
            "dead_letters",
            format!("{count} writes were given up"),
            "`tidewell dead-letters groups` tells why; then retry, mend or discard them",
        ),
    }
}

fn drift(status: &Status) -> Finding {
    const CHECK: &str = "drift";
    let of = |found: &dyn Fn(&status::IndexStatus) -> bool| -> Vec<String> {
        let found = status.indexes.iter().filter(|index| found(index));
        found.map(|index| format!("{}/{}", index.organization, index.index)).collect()
    };
    let drifted = of(&|index| {
        let check = &index.check;
        [check.missing, check.extra, check.stale].iter().flatten().sum::<i64>() > 0
    });
    let failed = of(&|index| index.check.error.is_some());
    match (drifted.as_slice(), failed.as_slice()) {
        ([], []) => Finding::ok(CHECK, "no index differed from its record when it was last compared"),
        ([], _) => Finding::warning(
            CHECK,
            format!("could not be compared: {}", listed(&failed)),
            "`tidewell index show` tells why",
        ),
        _ => Finding::warning(
            CHECK,
            format!("not what was written: {}", listed(&drifted)),
            "`tidewell index verify INDEX --repair` mends each",
        ),
    }
}

fn reindexes(status: &Status) -> Finding {
    let waiting = status.reindexes.iter().filter_map(|reindex| {
        let error = reindex.error.as_ref()?;
        Some(format!("{}/{}: {error}", reindex.organization, reindex.index))
    });
    match waiting.collect::<Vec<_>>().as_slice() {
        [] => Finding::ok("reindexes", format!("{} under way, none held up", status.reindexes.len())),
        waiting => {
            Finding::warning("reindexes", listed(waiting), "mend what it waits for, or `tidewell reindex --cancel`")
        }
    }
}

fn syncs(status: &Status) -> Vec<Finding> {
    let trouble = |health: &str| -> Vec<String> {
        status.syncs.iter().filter(|sync| sync.health == health).map(|sync| sync.name.clone()).collect()
    };
    let (failed, overdue) = (trouble("failed"), trouble("overdue"));
    let mut findings = Vec::new();
    if !failed.is_empty() {
        let remedy = "`tidewell sync runs JOB` tells why";
        findings.push(Finding::problem("syncs", format!("the last run has failed: {}", listed(&failed)), remedy));
    }
    if !overdue.is_empty() {
        let remedy = "`tidewell sync status` tells since when; look for a paused run, or start more of `tidewell work`";
        findings.push(Finding::warning("syncs", format!("not fresh: {}", listed(&overdue)), remedy));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("syncs", format!("{} jobs, none failed or overdue", status.syncs.len())));
    }
    findings
}
