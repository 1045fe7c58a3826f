//! Making another version of an index the live one: it is filled from the record beside the live one, kept up with what changes, and
//! put in place while the index's lanes are held for a moment.

mod aliases;
mod catch_up;
mod copy;
mod drop;
mod in_place;
mod swap;
mod verify;
mod write;

use std::{sync::Arc, time::Duration};

use metrics::counter;
use tidewell_jobs::{Failure, RunReindex};
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};
use uuid::Uuid;

pub(super) use self::{aliases::mend_aliases, drop::drop_versions};
use super::{
    Worker,
    import::Importer,
    stop::Stop,
    target::{NoTarget, Target},
};
use crate::{
    db::{
        self,
        index::Index,
        reindex::{
            Kind, Reindex, Status,
            lease::{self, Lease},
        },
        version::Version,
    },
    metrics::REINDEXES,
};

/// Reindexes that one look takes on.
const AT_ONCE: i64 = 8;
/// Imports of one reindex side by side: Typesense takes those of a collection one after the other.
const IMPORTS_AT_ONCE: usize = 3;
/// How often is looked whether somebody has asked for the end.
const LOOK: Duration = Duration::from_millis(250);
/// How long requests under way may take to end, once it is to stop.
const GRACE: Duration = Duration::from_millis(500);
/// How long one waits for something that is away.
const PAUSE: Duration = Duration::from_secs(2);

/// A reindex under way.
struct Run<'a> {
    worker: &'a Worker,
    lease: Lease,
    reindex: &'a Reindex,
    index: &'a Index,
    version: &'a Version,
    /// All lanes of the index, while they are held.
    held: Mutex<Option<db::lane::Lease>>,
}

/// `run_reindex`: the wake-up is done once the work is under way beside it; what must not be lost is in the database.
pub(super) async fn handle(worker: Arc<Worker>, job: RunReindex) -> Result<(), Failure> {
    attend(&worker, job.reindex_id);
    Ok(())
}

/// Finds reindexes that nobody attends, at every look.
pub(super) async fn sweep(worker: &Arc<Worker>) -> Result<(), sqlx::Error> {
    for id in lease::unattended(&worker.pool, AT_ONCE).await? {
        attend(worker, id);
    }
    Ok(())
}

fn attend(worker: &Arc<Worker>, id: Uuid) {
    if worker.shutdown.is_cancelled() || worker.gate.is_open() {
        return;
    }
    let attended = worker.clone();
    worker.reindexes.take(id, async move {
        if let Err(error) = attended.attend_reindex(id).await {
            tracing::warn!(reindex_id = %id, %error, "a reindex broke off");
        }
    });
}

impl Worker {
    async fn attend_reindex(&self, id: Uuid) -> Result<(), sqlx::Error> {
        let name = &self.options.name;
        let taken = lease::take(&self.pool, id, name, self.options.lease, self.reindex_doubt()).await?;
        let Some((lease, reindex)) = taken else { return Ok(()) };
        let index = db::index::find(&self.pool, reindex.index_id).await?.ok_or(sqlx::Error::RowNotFound)?;
        let version = db::version::find(&self.pool, index.id, reindex.number).await?.ok_or(sqlx::Error::RowNotFound)?;
        let run =
            Run { worker: self, lease, reindex: &reindex, index: &index, version: &version, held: Mutex::default() };
        tracing::info!(reindex_id = %id, index_id = %index.id, kind = ?reindex.kind, phase = ?reindex.phase, version = reindex.number,
            "a reindex is under way");
        let outcome = {
            let mut working = std::pin::pin!(run.work());
            tokio::select! {
                outcome = &mut working => outcome,
                why = run.watch() => match tokio::time::timeout(GRACE, working).await {
                    Ok(Ok(held_since)) => Ok(held_since),
                    _ => Err(why),
                },
            }
        };
        // Whatever happens from here on, the version is the live one: nobody has to watch.
        if let Ok(Some(held_since)) = outcome {
            run.make_known(held_since).await;
        }
        run.give_back().await?;
        run.conclude(outcome.map(drop)).await?;
        // What was given up is in nobody's way for long.
        drop_versions(self).await
    }

    /// For how long a request that nobody waits for may still be alive: its sender would have waited for its answer.
    fn reindex_doubt(&self) -> Duration {
        self.options.import_timeout + self.options.doubt
    }
}

impl Run<'_> {
    /// The version that is worked on.
    fn id(&self) -> (Uuid, i32) {
        (self.index.id, self.version.number)
    }

    /// Gives the lanes back, if they are held.
    async fn give_back(&self) -> Result<(), sqlx::Error> {
        let mut held = self.held.lock().await;
        if held.is_some() {
            db::lane::release_wanted(&mut *self.worker.pool.acquire().await?, self.index.id, held.as_ref()).await?;
        }
        *held = None;
        Ok(())
    }

    /// Gives since when all lanes are held, where a version has become the live one.
    async fn work(&self) -> Result<Option<Instant>, Stop> {
        if self.reindex.cancel_requested {
            return Err(Stop::Cancelled);
        }
        let importer = self.prepare().await?;
        if self.reindex.kind == Kind::InPlace {
            self.extend_in_place().await?;
            return Ok(None);
        }
        self.copy(&importer).await?;
        self.swap(&importer).await.map(Some)
    }

    /// Makes sure that there is a collection to write to.
    async fn prepare(&self) -> Result<Importer<'_>, Stop> {
        let Worker { typesense, options, .. } = self.worker;
        let target = self.worker.make_collection(self.version).await.map_err(|error| match error {
            NoTarget::Database(error) => Stop::Database(error),
            NoTarget::Typesense(error) => error.into(),
            NoTarget::NoVectors(reason) => Stop::Pause(reason),
        })?;
        let Target { collection, embeds } = target;
        if let Some(reason) = embeds.as_ref().and_then(|embeds| embeds.without.clone()) {
            return Err(Stop::Pause(reason));
        }
        Ok(Importer {
            worker: self.worker,
            typesense: typesense.clone(),
            collection,
            timeout: options.import_timeout,
            batch_size: options.import_lines,
            delay: Duration::ZERO,
            places: Semaphore::new(IMPORTS_AT_ONCE),
            at_once: IMPORTS_AT_ONCE,
            embeds,
        })
    }

    /// Returns when the work has to stop, with the reason.
    async fn watch(&self) -> Stop {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = self.worker.shutdown.cancelled() => return Stop::Shutdown,
                () = tokio::time::sleep(LOOK) => {}
            }
            match self.renew().await {
                Ok(Some(true)) => return Stop::Cancelled,
                Ok(Some(false)) => renewed = Instant::now(),
                Ok(None) => return Stop::LeaseLost,
                Err(error) => tracing::warn!(%error, "could not renew the lease of a reindex"),
            }
            if renewed.elapsed() > self.lease.term {
                return Stop::LeaseLost;
            }
        }
    }

    /// Renews the lease, and those of lanes that are held; `None` where one is lost, else whether somebody has asked for the end.
    async fn renew(&self) -> Result<Option<bool>, sqlx::Error> {
        // Not given back meanwhile: what is renewed after that is held by nobody.
        let held = self.held.lock().await;
        let mut tx = self.worker.pool.begin().await?;
        let renewed = lease::renew(&mut tx, self.lease).await?;
        let is_lost = match &*held {
            Some(held) => !db::lane::renew_wanted(&mut tx, held).await?,
            None => false,
        };
        if renewed.is_none() || is_lost {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(renewed)
    }

    async fn conclude(&self, outcome: Result<(), Stop>) -> Result<(), sqlx::Error> {
        let Self { worker, lease, reindex, .. } = self;
        let ended_as = |outcome| counter!(REINDEXES.name, "outcome" => outcome).increment(1);
        let end = async |status, reason: Option<&str>| {
            ended_as(if status == Status::Cancelled { "cancelled" } else { "failed" });
            tracing::warn!(reindex_id = %reindex.id, index_id = %reindex.index_id, ?status, reason, "a reindex ended");
            let doubt = worker.reindex_doubt();
            db::reindex::swap::abandon(&worker.pool, *lease, reindex, doubt, status, reason).await
        };
        match outcome {
            Ok(()) => {
                ended_as("succeeded");
                let Reindex { id, index_id, kind, number, .. } = reindex;
                tracing::info!(reindex_id = %id, %index_id, ?kind, version = number, "a reindex succeeded");
                Ok(())
            }
            Err(Stop::Fail(reason)) => end(Status::Failed, Some(&reason)).await,
            Err(Stop::Database(error)) if !db::is_unavailable(&error) => {
                end(Status::Failed, Some(&format!("Tidewell's own database refused a statement: {error}"))).await
            }
            Err(Stop::Cancelled) => end(Status::Cancelled, None).await,
            Err(Stop::Pause(reason)) => {
                tracing::warn!(reindex_id = %reindex.id, reason, "a reindex waits");
                lease::release(&worker.pool, *lease, PAUSE, Some(&reason)).await
            }
            Err(Stop::Database(error)) => Err(error),
            Err(Stop::Shutdown) => lease::release(&worker.pool, *lease, Duration::ZERO, None).await,
            Err(Stop::LeaseLost) => Ok(()),
        }
    }
}
