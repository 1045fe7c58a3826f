//! What needs attention, the worst first.

use crate::{
    console::{api::with_query, parts::Tone},
    db::status::{CheckStatus, IndexStatus, Status, SyncStatus, WorkerStatus},
};

/// A write that waits longer is told of, and one that waits much longer is bad.
const LATE_SECONDS: f64 = 30.0;
const VERY_LATE_SECONDS: f64 = 300.0;

/// Something to look at.
#[derive(Debug)]
pub(super) struct Concern {
    pub(super) tone: Tone,
    pub(super) what: String,
    pub(super) why: Option<String>,
    /// Where there is more of it.
    pub(super) path: String,
}

/// All that there is to look at.
pub(super) fn concerns(status: &Status) -> Vec<Concern> {
    let mut concerns = vec![];
    if !status.workers.iter().any(|worker| worker.alive) {
        let why = "writes are accepted and wait: start `tidewell work`";
        concerns.push(concern(Tone::Bad, "No worker is alive", Some(why), "/console"));
    }
    concerns.extend(status.workers.iter().filter(|worker| worker.alive).flat_map(of_worker));
    concerns.extend(status.syncs.iter().filter_map(of_sync));
    concerns.extend(status.indexes.iter().flat_map(of_index));
    for reindex in &status.reindexes {
        if let Some(why) = &reindex.error {
            let what = format!("The reindex of {}/{} waits", reindex.organization, reindex.index);
            concerns.push(concern(Tone::Warn, what, Some(why), "/console/indexes"));
        }
    }
    if status.embedding_debts > 0 {
        let why = "they are embedded again once their model can be reached";
        concerns.push(concern(Tone::Warn, "Documents are without their vectors", Some(why), "/console/indexes"));
    }
    // Stable: within a tone, in the order above.
    concerns.sort_by_key(|concern| concern.tone != Tone::Bad);
    concerns
}

fn of_worker(worker: &WorkerStatus) -> Vec<Concern> {
    let mut concerns = vec![];
    if worker.breaker != "closed" {
        let what = format!("Typesense at {} is away", worker.backend);
        concerns.push(concern(Tone::Bad, what, worker.breaker_reason.as_deref(), "/console/backends"));
    }
    if let Some(trouble) = &worker.embedding_trouble {
        concerns.push(concern(Tone::Warn, "A model is away", Some(trouble), "/console/indexes"));
    }
    concerns
}

fn of_sync(sync: &SyncStatus) -> Option<Concern> {
    let (tone, what) = match sync.health.as_str() {
        "failed" => (Tone::Bad, "has failed"),
        "overdue" => (Tone::Bad, "is overdue"),
        "cancelled" => (Tone::Warn, "was cancelled"),
        "never_synced" if sync.is_stale => (Tone::Warn, "was never synced"),
        _ => return None,
    };
    let path = format!("/console/syncs/{}", sync.id);
    Some(concern(tone, format!("Sync job {} {what}", sync.name), None, path))
}

fn of_index(index: &IndexStatus) -> Vec<Concern> {
    let mut concerns = vec![];
    let name = format!("{}/{}", index.organization, index.index);
    let path = format!("/console/indexes/{}", index.id);
    if let Some(age) = index.oldest_age_seconds.filter(|age| *age > LATE_SECONDS) {
        let tone = if age > VERY_LATE_SECONDS { Tone::Bad } else { Tone::Warn };
        let why = match index.retries_waiting + index.retries_due {
            0 => None,
            _ => Some("some rows wait for a retry"),
        };
        concerns.push(concern(tone, format!("Writes of {name} are projected late"), why, path.clone()));
    }
    if index.dead_letters > 0 {
        let letters = with_query(
            "/console/dead-letters",
            &[("organization", Some(&index.organization)), ("index", Some(&index.index))],
        );
        concerns.push(concern(Tone::Warn, format!("{name} has dead letters"), None, letters));
    }
    let CheckStatus { missing, extra, stale, error, .. } = &index.check;
    let [missing, extra, stale] = [missing, extra, stale].map(|count| count.unwrap_or_default());
    if missing + extra + stale > 0 {
        let why = format!("{missing} missing, {extra} extra, {stale} stale");
        concerns.push(concern(Tone::Bad, format!("The collection of {name} has drifted"), Some(&why), path.clone()));
    }
    if let Some(error) = error {
        concerns.push(concern(Tone::Warn, format!("{name} could not be checked for drift"), Some(error), path));
    }
    concerns
}

fn concern(tone: Tone, what: impl Into<String>, why: Option<&str>, path: impl Into<String>) -> Concern {
    Concern { tone, what: what.into(), why: why.map(str::to_owned), path: path.into() }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn well() -> Status {
        let worker = WorkerStatus {
            name: "a".to_owned(),
            backend: "http://typesense".to_owned(),
            breaker: "closed".to_owned(),
            breaker_reason: None,
            concurrency: 8,
            embedding_trouble: None,
            last_seen_seconds_ago: 1.0,
            alive: true,
        };
        let index = IndexStatus {
            id: Uuid::nil(),
            organization: "acme".to_owned(),
            index: "books".to_owned(),
            version: 1,
            documents: 10,
            backlog: 3,
            oldest_enqueued_at: None,
            oldest_age_seconds: Some(0.2),
            retries_due: 0,
            retries_waiting: 0,
            filter_deletes: 0,
            dead_letters: 0,
            lanes_leased: 1,
            check: CheckStatus { missing: Some(0), ..CheckStatus::default() },
        };
        Status {
            indexes: vec![index],
            workers: vec![worker],
            syncs: vec![],
            reindexes: vec![],
            versions: vec![],
            embedding_debts: 0,
            doubted_flights: 0,
        }
    }

    #[test]
    fn nothing_is_told_of_while_all_is_well() {
        assert!(concerns(&well()).is_empty());
    }

    #[test]
    fn the_worst_comes_first() {
        let mut status = well();
        status.indexes[0].dead_letters = 2;
        status.indexes[0].oldest_age_seconds = Some(400.0);
        status.workers[0].breaker = "open".to_owned();
        let told: Vec<_> = concerns(&status).into_iter().map(|concern| (concern.tone, concern.what)).collect();
        assert_eq!(told[0], (Tone::Bad, "Typesense at http://typesense is away".to_owned()));
        assert_eq!(told[1], (Tone::Bad, "Writes of acme/books are projected late".to_owned()));
        assert_eq!(told[2], (Tone::Warn, "acme/books has dead letters".to_owned()));
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn a_dead_worker_has_no_breaker_that_counts() {
        let mut status = well();
        status.workers[0] = WorkerStatus { alive: false, breaker: "open".to_owned(), ..status.workers[0].clone() };
        let told: Vec<_> = concerns(&status).into_iter().map(|concern| concern.what).collect();
        assert_eq!(told, ["No worker is alive"]);
    }
}
