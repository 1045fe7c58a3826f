//! A run of a sync job, from where it stands to its end.

use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::{counter, histogram};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    collection::{self, Target},
    import::Importer,
    pass::Pass,
    scan::{Cursor, Scan},
    stop::Stop,
};
use crate::{
    backend,
    db::{
        self,
        sync::{
            job::Job,
            lease::{self, Lease},
            overlay,
            position::{self, Position},
            run::{self, Ending, Run, Status, Trigger},
            settle,
            state::{self, State},
        },
    },
    domain::{schedule::Schedule, seal::Sealer, sensitive::Sensitive, sync_job::Strategy},
    metrics::{SYNC_PAUSES, SYNC_RUN_DURATION},
    source::Source,
    sync::{Plan, plan::listed},
    typesense,
    worker::{Worker, embedding::Embeds},
};

/// How often is looked whether somebody has asked for the run's end.
const LOOK: Duration = Duration::from_millis(250);
/// How long requests under way may take to end, once the run is to stop.
const GRACE: Duration = Duration::from_millis(500);
/// A paused run waits as long as it has waited altogether, by a quarter, and within these bounds.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// How a turn at a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Ended,
    /// Somebody goes on with it later.
    Left,
}

/// Where a job's documents go.
struct Backend {
    typesense: typesense::Client,
    timeout: Duration,
    /// Which backend it is, and where: collections elsewhere are others.
    place: String,
}

/// What a run works with.
pub(super) struct Ground {
    pub(super) job: Job,
    pub(super) plan: Plan,
    pub(super) source: Source,
    pub(super) source_url: Sensitive,
    pub(super) typesense: typesense::Client,
    pub(super) timeout: Duration,
    /// Where collections are.
    pub(super) place: String,
}

impl Worker {
    /// Does a run of a job that is held: to its end, or until it has to wait.
    pub(super) async fn run_sync(&self, lease: &Lease, run: &Run) -> Result<Turn, sqlx::Error> {
        let Some(run) = run::begin(&self.pool, run.id).await? else { return Ok(Turn::Ended) };
        if run.cancel_requested_at.is_some() {
            return self.conclude(lease, &run, Err(Stop::Cancelled)).await;
        }
        let stop = CancellationToken::new();
        let outcome = {
            let mut working = std::pin::pin!(self.work_on(lease, &run, &stop));
            tokio::select! {
                outcome = &mut working => outcome,
                why = self.watch(lease, &run) => {
                    stop.cancel();
                    // What is under way is settled if it ends soon; if not, it is in doubt.
                    match tokio::time::timeout(GRACE, working).await {
                        Ok(Ok(())) => Ok(()),
                        _ => Err(why),
                    }
                }
            }
        };
        self.conclude(lease, &run, outcome).await
    }

    /// Returns when the run has to stop, with the reason.
    async fn watch(&self, lease: &Lease, run: &Run) -> Stop {
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return Stop::Shutdown,
                () = tokio::time::sleep(LOOK) => {}
            }
            match run::is_cancelled(&self.pool, run.id).await {
                Ok(true) => return Stop::Cancelled,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "could not look whether a run was cancelled"),
            }
            if renewed.elapsed() > lease.term / 4 {
                let renewal = async { lease::renew(&mut *self.pool.acquire().await?, lease).await };
                match renewal.await {
                    Ok(true) => renewed = tokio::time::Instant::now(),
                    Ok(false) => return Stop::LeaseLost,
                    Err(error) => tracing::warn!(%error, "could not renew the lease of a sync job"),
                }
                if renewed.elapsed() > lease.term {
                    return Stop::LeaseLost;
                }
            }
        }
    }

    async fn conclude(&self, lease: &Lease, run: &Run, outcome: Result<(), Stop>) -> Result<Turn, sqlx::Error> {
        let (status, error) = match outcome {
            Ok(()) => (Status::Success, None),
            Err(Stop::Fail(reason)) => (Status::Failed, Some(reason)),
            Err(Stop::Database(error)) if !db::is_unavailable(&error) => {
                (Status::Failed, Some(format!("Tidewell's own database refused a statement: {error}")))
            }
            Err(Stop::Cancelled) => (Status::Cancelled, Some("cancelled before its end".to_owned())),
            Err(Stop::Pause(reason)) => {
                let (least, most) = PAUSES;
                let paused = Duration::from_millis(run.paused_ms.unsigned_abs());
                let wait = (paused / 4).clamp(least, most);
                counter!(SYNC_PAUSES.name).increment(1);
                tracing::warn!(job_id = %run.job_id, run_id = %run.id, reason, wait_ms = wait.as_millis() as u64, "a sync run waits");
                run::pause(&self.pool, lease, run.id, &reason, wait).await?;
                return Ok(Turn::Left);
            }
            Err(Stop::Shutdown) => return Ok(Turn::Left),
            Err(Stop::LeaseLost) => {
                tracing::warn!(job_id = %run.job_id, run_id = %run.id, fence = lease.fence, "the lease of a sync job was lost");
                return Ok(Turn::Left);
            }
            Err(Stop::Database(error)) => return Err(error),
        };
        let now = sqlx::query_scalar("select clock_timestamp()").fetch_one(&self.pool).await?;
        let next_sync_at = self.next_sync_at(run, now).await?;
        let ending = Ending { status, error: error.as_deref(), next_sync_at };
        let mut tx = self.pool.begin().await?;
        if run::finish(&mut tx, run.id, lease, &ending).await? {
            tx.commit().await?;
            let took = (now - run.started_at.unwrap_or(now)).to_std().unwrap_or_default();
            histogram!(SYNC_RUN_DURATION.name, "status" => status.name()).record(took);
            tracing::info!(job_id = %run.job_id, run_id = %run.id, status = status.name(), error, "a sync run has ended");
            if status != Status::Success
                && let Err(error) = self.clear_leftovers_of(run.job_id).await
            {
                // The next run tries again.
                tracing::warn!(job_id = %run.job_id, ?error, "a collection that was not completed could not be removed");
            }
        }
        Ok(Turn::Ended)
    }

    async fn clear_leftovers_of(&self, job_id: Uuid) -> Result<(), Stop> {
        if position::leftovers(&self.pool, job_id).await?.is_empty() {
            return Ok(());
        }
        let Some(job) = db::sync::job::find(&self.pool, job_id).await? else { return Ok(()) };
        let backend = self.backend(&job).await?;
        self.clear_leftovers(&job, &backend.typesense).await
    }

    /// Removes what runs have begun beside the job's collection and did not complete.
    async fn clear_leftovers(&self, job: &Job, typesense: &typesense::Client) -> Result<(), Stop> {
        for collection in position::leftovers(&self.pool, job.id).await? {
            // One that is searched was complete.
            if typesense.alias(&job.spec.collection_name).await?.as_ref() == Some(&collection) {
                continue;
            }
            typesense.delete_collection(&collection).await?;
            let mut tx = self.pool.begin().await?;
            position::forget_leftover(&mut tx, job.id, &collection).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn next_sync_at(&self, run: &Run, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        let Some(job) = db::sync::job::find(&self.pool, run.job_id).await? else { return Ok(None) };
        let spec = &job.spec;
        let schedule = Schedule::parse(spec.sync_interval_minutes, spec.cron.as_deref(), &spec.timezone);
        Ok(schedule.ok().and_then(|schedule| schedule.next_after(now)))
    }

    async fn work_on(&self, lease: &Lease, run: &Run, stop: &CancellationToken) -> Result<(), Stop> {
        if run.trigger_source == Trigger::Rollback {
            return self.roll_back(lease, run).await;
        }
        let job = db::sync::job::find(&self.pool, run.job_id).await?.ok_or(Stop::Cancelled)?;
        let mut ground = self.ground(job).await?;
        let position = self.position(lease, run, &mut ground).await?;
        tracing::info!(job_id = %run.job_id, run_id = %run.id, collection = position.collection, rows = run.source_row_count,
            "a sync run is under way");
        if !position.is_done {
            let plan = &ground.plan;
            let counting = self.count(run, &ground.source_url, plan);
            let importer = self.importer(&ground, position.collection.clone());
            let pass = Pass {
                pool: &self.pool,
                lease,
                run_id: run.id,
                importer: &importer,
                doubted_for: ground.timeout + self.options.doubt,
                stop,
            };
            let state = self.state(lease, &ground.place).await?;
            let is_live = state.collection.as_deref() == Some(&position.collection);
            let scan = Scan {
                pool: &self.pool,
                job_id: lease.job_id,
                collection: &position.collection,
                generation: position.generation,
                statement: &plan.statement,
                source: &mut ground.source,
                since: state.cursor_since.filter(|_| is_live && state.mapping.as_deref() == Some(&plan.mapping)),
                overlay: overlay::read(&self.pool, lease.job_id, &position.collection).await?,
                is_resumed: position.ordinal > 0,
                cursor: Cursor::at(position.position.clone(), position.ordinal),
            };
            // The count is for those who watch: reading does not wait for it, and the run's end a few seconds at most.
            let (done, counted) = futures::join!(pass.run(scan), counting);
            done?;
            if let Err(error) = counted {
                tracing::debug!(?error, "the rows of a source could not be counted");
            }
            if stop.is_cancelled() {
                return Err(Stop::Cancelled);
            }
        }
        self.complete(lease, run, &mut ground, &position).await
    }

    /// Sends documents of a job into a collection.
    pub(super) fn importer(&self, ground: &Ground, collection: String) -> Importer<'_> {
        let spec = &ground.job.spec;
        Importer {
            worker: self,
            typesense: ground.typesense.clone(),
            collection,
            timeout: ground.timeout,
            batch_size: usize::try_from(spec.batch_size).unwrap_or(1),
            delay: Duration::from_millis(u64::try_from(spec.batch_delay_ms).unwrap_or_default()),
            places: Semaphore::new(self.syncs.imports_at_once),
            at_once: self.syncs.imports_at_once,
            embeds: spec.embedding.clone().map(|embedding| Embeds { embedding, without: None }),
        }
    }

    pub(super) fn sealer(&self) -> Result<&Sealer, Stop> {
        self.syncs.sealer.as_ref().ok_or_else(|| {
            Stop::Fail(
                "TIDEWELL_SECRET is not set where this worker runs: it can't read the job's URLs and keys".to_owned(),
            )
        })
    }

    /// What a job stands on, as far as it is true of this backend.
    pub(super) async fn state(&self, lease: &Lease, place: &str) -> Result<State, Stop> {
        Ok(state::find(&self.pool, lease.job_id).await?.ok_or(Stop::LeaseLost)?.at(place))
    }

    async fn backend(&self, job: &Job) -> Result<Backend, Stop> {
        let profile = db::profile::find(&self.pool, job.spec.typesense_profile_id).await?.ok_or(Stop::Cancelled)?;
        let typesense = backend::client(&profile, self.sealer()?).map_err(|error| Stop::Fail(error.to_string()))?;
        if !typesense.healthy().await {
            return Err(Stop::Pause(format!("the backend {} is not well", profile.name)));
        }
        let timeout = Duration::from_millis(u64::try_from(profile.timeout_ms).unwrap_or_default());
        let place = format!("{} {}", profile.id, profile.base_url);
        Ok(Backend { typesense, timeout, place })
    }

    /// What the run goes by: the job and the table as they are now.
    pub(super) async fn ground(&self, job: Job) -> Result<Ground, Stop> {
        let spec = &job.spec;
        let client = db::client::resolve(&self.pool, &spec.source_client_name).await?;
        let client = client.ok_or_else(|| Stop::Fail(format!("there is no client {}", spec.source_client_name)))?;
        let source_url = client.url(self.sealer()?).map_err(|error| Stop::Fail(error.to_string()))?;
        // Before the source is asked for anything: while the backend is away, nothing there is held open.
        let Backend { typesense, timeout, place } = self.backend(&job).await?;
        let mut source = Source::connect(source_url.expose()).await?;
        let (schema, table) = (&spec.source_schema_name, &spec.source_table_name);
        let relation = source.describe(schema, table).await?;
        let relation =
            relation.ok_or_else(|| Stop::Fail(format!("there is no table {schema}.{table} that this role can see")))?;
        let mut plan = Plan::make(spec, &relation).map_err(|faults| Stop::Fail(listed(&faults)))?;
        if let Some(embedding) = &spec.embedding {
            plan = plan.embedded(embedding, self.embedders.fingerprint(embedding).await?);
        }
        let plan = plan.placed(&source.place(), &place);
        Ok(Ground { plan, source, source_url, typesense, timeout, place, job })
    }

    /// Where the run stands: where it stopped, or at the beginning, with the collection that it writes to.
    async fn position(&self, lease: &Lease, run: &Run, ground: &mut Ground) -> Result<Position, Stop> {
        let state = state::find(&self.pool, lease.job_id).await?.ok_or(Stop::LeaseLost)?;
        let is_of_this_backend = state.backend.as_ref().is_none_or(|backend| *backend == ground.place);
        let state = state.at(&ground.place);
        let mut begun = None;
        if let Some(position) = position::find(&self.pool, run.id).await? {
            let is_there = ground.typesense.caught_up(&position.collection).await?.is_some();
            if is_there && position.mapping == ground.plan.mapping {
                return Ok(position);
            }
            // Begun for a mapping or a collection that is no more. Where the backend has moved, nothing is known to be the run's own.
            if run.rebuild && is_of_this_backend && state.collection.as_deref() != Some(&position.collection) {
                ground.typesense.delete_collection(&position.collection).await?;
                begun = Some(position.collection);
            }
        }
        let since = match ground.plan.cursor_has_time_zone {
            Some(has_time_zone) => ground.source.settled_since(has_time_zone).await?,
            None => None,
        };
        let without_key = match ground.plan.key_is_sure {
            true => 0,
            false => ground.source.count_without_key(&ground.plan.statement).await?,
        };
        // Nothing that may take long, or fail, stands between a new collection and its being noted.
        self.clear_leftovers(&ground.job, &ground.typesense).await?;
        let Ground { typesense, job, plan, .. } = &*ground;
        // What marks tell of single documents is made good where they are.
        let is_for_marks = matches!(run.trigger_source, Trigger::Repair | Trigger::Redrive);
        let builds_anew = run.rebuild || job.spec.sync_strategy == Strategy::Full && !is_for_marks;
        let target = collection::choose(typesense, &job.spec, builds_anew, plan, &state).await?;
        let mut tx = self.pool.begin().await?;
        if !lease::renew(&mut tx, lease).await? {
            return Err(Stop::LeaseLost);
        }
        if let Some(begun) = begun {
            state::forget(&mut tx, lease.job_id, &begun).await?;
        }
        let mapping = &ground.plan.mapping;
        match &target {
            Target::First { collection, is_owned } => {
                let (place, fingerprint) = (&ground.place, ground.plan.fingerprint.as_ref());
                state::set_collection(&mut tx, lease.job_id, place, collection, *is_owned, mapping, fingerprint)
                    .await?;
                settle::heal_older(&mut tx, lease.job_id, None).await?;
            }
            Target::Beside { collection } => state::forget(&mut tx, lease.job_id, collection).await?,
            // A shared one whose rows have other ids now, or another order.
            Target::Live { collection } if state.mapping.as_ref() != Some(mapping) => {
                overlay::keep_all(&mut tx, lease.job_id, collection).await?;
            }
            Target::Live { .. } => {}
        }
        if let Some(number) = collection::number(&ground.job.spec.collection_name, target.collection()) {
            state::note_number(&mut tx, lease.job_id, number).await?;
        }
        let position = position::begin(&mut tx, run.id, lease.job_id, target.collection(), since, mapping).await?;
        run::restart(&mut tx, run.id, matches!(target, Target::Beside { .. }), without_key).await?;
        tx.commit().await?;
        Ok(position)
    }

    /// Says how many rows there are to read, as soon as that is known.
    async fn count(&self, run: &Run, source_url: &Sensitive, plan: &Plan) -> Result<(), Stop> {
        let mut source = Source::connect(source_url.expose()).await?;
        let rows = source.count(&plan.statement, plan.estimated_rows).await?;
        source.close().await;
        Ok(run::set_expected(&self.pool, run.id, rows).await?)
    }

    /// What is left once all has been read: a new collection takes its place, and the run is judged.
    async fn complete(&self, lease: &Lease, run: &Run, ground: &mut Ground, position: &Position) -> Result<(), Stop> {
        let state = self.state(lease, &ground.place).await?;
        let counts = run::find(&self.pool, run.id).await?.ok_or(Stop::Cancelled)?;
        let failed = counts.failed_count;
        let limit = ground.job.spec.failed_share_limit;
        let rows = counts.source_row_count.max(failed).max(1);
        let refuses_too_many = failed as f64 > limit * rows as f64;
        let verdict = if refuses_too_many {
            Err(Stop::Fail(format!(
                "{failed} of {rows} rows were refused, more than the share of {limit} that failed_share_limit allows: \
                 the dead letters tell why"
            )))
        } else {
            Ok(())
        };
        let is_beside = state.collection.as_deref() != Some(&position.collection);
        if is_beside && refuses_too_many {
            // Its letters stay, for they tell why: the next run that ends well takes away those of rows that are well.
            return verdict;
        }
        if is_beside {
            let written = u64::try_from(counts.imported_count).unwrap_or_default();
            collection::swap(&ground.typesense, run.id, &ground.job.spec, &position.collection, written).await?;
            // The one that is searched until now stays for a rollback; the one before it goes first, for nobody would know of it after.
            if let Some(older) = &state.previous_collection {
                ground.typesense.delete_collection(older).await?;
            }
        }
        let mut tx = self.pool.begin().await?;
        if !lease::renew(&mut tx, lease).await? {
            return Err(Stop::LeaseLost);
        }
        if is_beside {
            let Position { collection, mapping, .. } = position;
            let fingerprint = ground.plan.fingerprint.as_ref();
            state::swap(&mut tx, lease.job_id, &ground.place, collection, mapping, fingerprint).await?;
            settle::heal_older(&mut tx, lease.job_id, run.started_at).await?;
        }
        if is_beside && let Some(older) = &state.previous_collection {
            state::forget(&mut tx, lease.job_id, older).await?;
        }
        settle::end_pass(&mut tx, lease, run.id).await?;
        tx.commit().await?;
        verdict
    }

    /// Puts the collection before back in its place.
    async fn roll_back(&self, lease: &Lease, run: &Run) -> Result<(), Stop> {
        let job = db::sync::job::find(&self.pool, run.job_id).await?.ok_or(Stop::Cancelled)?;
        let Backend { typesense, place, .. } = self.backend(&job).await?;
        let state = self.state(lease, &place).await?;
        let nothing = || Stop::Fail("there is no collection before the current one".to_owned());
        let previous = state.previous_collection.ok_or_else(nothing)?;
        if typesense.caught_up(&previous).await?.is_none() {
            return Err(Stop::Fail(format!("the collection {previous} is gone")));
        }
        typesense.put_alias(&job.spec.collection_name, &previous).await?;
        let mut tx = self.pool.begin().await?;
        if !lease::renew(&mut tx, lease).await? {
            return Err(Stop::LeaseLost);
        }
        state::roll_back(&mut tx, lease.job_id).await?;
        tx.commit().await?;
        tracing::info!(job_id = %job.id, run_id = %run.id, collection = previous, "rolled back");
        Ok(())
    }
}
