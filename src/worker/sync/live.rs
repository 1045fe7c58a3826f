//! Following a table live: changes reach the collection as they are committed.
//!
//! The stream tells which rows changed; each is read from the table as it is then, and written or deleted. So a change that is told
//! twice does no harm, and the comparison that a new slot begins with joins the stream without a gap: what happens during it is told
//! after it. A position is confirmed once Typesense has everything up to it.

use std::time::Duration;

use metrics::counter;
use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    collection::find_by_name,
    count_rows,
    import::{Imported, Importer, Refusal},
    run::Turn,
    stop::Stop,
};
use crate::{
    db::{
        self,
        sync::{
            flight::{self, Settled},
            job::{self, Job},
            lease::Lease,
            live::{self, Followed, Lag},
            overlay,
            run::{self, Trigger},
            settle::Letter,
        },
    },
    domain::{
        sensitive::Sensitive,
        sync_entry::{Entry, Standing},
        sync_job::Mode,
    },
    metrics::LIVE_STANDSTILLS,
    replication::{self, Batch, Prepared, Stream},
    source::{self, Document, Source, split_id},
    sync::Plan,
    worker::Worker,
};

/// Rows that are read and written together: as many of the largest ones still fit into memory.
const ROWS: usize = 200;
/// How often is looked whether the job has changed, whether a run is asked for, and how far behind it is.
const LOOK: Duration = Duration::from_secs(1);
/// After this long the table is looked at as if for the first time: columns may have come, and its identity may be another.
const LOOK_ANEW: Duration = Duration::from_secs(300);
/// How long a job stands still after a fault.
const STANDS_STILL: Duration = Duration::from_secs(3);
/// A fault that somebody has to mend is tried again after this long.
const STANDS_STILL_LONG: Duration = Duration::from_secs(60);

/// Why a follower stops.
enum End {
    /// The job is no longer what it was: it is looked at anew.
    Changed,
    /// The table has to be compared before it can be followed.
    Compare {
        /// Whether the stream tells what happens from now on.
        is_joined: bool,
    },
    Stop(Stop),
    Stream(replication::Error),
}

impl<E: Into<Stop>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

/// What following works with.
struct Following<'a> {
    worker: &'a Worker,
    lease: &'a Lease,
    job: Job,
    plan: Plan,
    source: Source,
    source_url: Sensitive,
    admin: PgConnection,
    importer: Importer<'a>,
    slot: String,
    /// The table was truncated: it is compared once the transaction that did it has been read.
    owes_comparison: bool,
}

/// What slot and publication of a job are called.
fn slot_name(job_id: Uuid) -> String {
    format!("tidewell_{}", job_id.simple())
}

impl Worker {
    /// Follows a live job until something stops it.
    pub(super) async fn follow(&self, lease: &Lease) -> Result<(), sqlx::Error> {
        while !self.shutdown.is_cancelled() {
            let Some(job) = job::find(&self.pool, lease.job_id).await? else { return Ok(()) };
            if job.spec.mode != Mode::Live || !job.spec.enabled {
                return Ok(());
            }
            match self.follow_as_it_is(lease, job).await {
                Err(End::Changed) => {}
                Err(End::Compare { is_joined }) => match self.compare(lease, is_joined).await? {
                    Turn::Ended => {}
                    Turn::Left => return Ok(()),
                },
                Err(End::Stop(Stop::Shutdown | Stop::LeaseLost | Stop::Cancelled)) | Ok(()) => return Ok(()),
                Err(End::Stop(Stop::Database(error))) if db::is_unavailable(&error) => return Err(error),
                Err(End::Stop(Stop::Database(error))) => {
                    let reason = format!("Tidewell's own database refused a statement: {error}");
                    return self.stand_still(lease, &reason, STANDS_STILL_LONG).await;
                }
                Err(End::Stop(Stop::Pause(reason))) => return self.stand_still(lease, &reason, STANDS_STILL).await,
                Err(End::Stop(Stop::Fail(reason))) => {
                    // A run that somebody asked for meets the same fault, and ends with it.
                    if run::active(&self.pool, lease.job_id).await?.is_some() {
                        self.compare(lease, false).await?;
                    }
                    return self.stand_still(lease, &reason, STANDS_STILL_LONG).await;
                }
                Err(End::Stream(error)) => {
                    if error.needs_new_slot() {
                        live::set_compared_slot(&self.pool, lease, None).await?;
                    }
                    let wait = if error.is_transient() { STANDS_STILL } else { STANDS_STILL_LONG };
                    return self.stand_still(lease, &error.to_string(), wait).await;
                }
            }
        }
        Ok(())
    }

    async fn stand_still(&self, lease: &Lease, reason: &str, wait: Duration) -> Result<(), sqlx::Error> {
        counter!(LIVE_STANDSTILLS.name).increment(1);
        tracing::warn!(job_id = %lease.job_id, reason, wait_ms = wait.as_millis() as u64, "a live job stands still");
        live::stand_still(&self.pool, lease, reason, wait).await
    }

    /// Compares the whole table with the collection, by a run.
    async fn compare(&self, lease: &Lease, is_joined: bool) -> Result<Turn, sqlx::Error> {
        let active = match run::active(&self.pool, lease.job_id).await? {
            Some(active) => Some(active),
            None => run::queue(&mut *self.pool.acquire().await?, lease.job_id, Trigger::Live).await?,
        };
        let Some(active) = active else { return Ok(Turn::Left) };
        let Ok(_place) = self.syncs.places.acquire().await else { return Ok(Turn::Left) };
        let turn = self.run_sync(lease, &active).await?;
        let ended = run::find(&self.pool, active.id).await?;
        match ended {
            Some(run) if run.status == run::Status::Success => {
                let slot = slot_name(lease.job_id);
                let slot = Some(slot.as_str()).filter(|_| is_joined && run.trigger_source != Trigger::Rollback);
                live::set_compared_slot(&self.pool, lease, slot).await?;
            }
            // One that somebody asked for, and that was not needed to go on.
            Some(run) if run.status.has_ended() && live::compared_slot(&self.pool, lease.job_id).await?.is_some() => {}
            Some(run) if run.status.has_ended() => {
                let reason = run.error.unwrap_or_else(|| "the comparison was cancelled".to_owned());
                self.stand_still(lease, &reason, STANDS_STILL_LONG).await?;
                return Ok(Turn::Left);
            }
            Some(run) => {
                let reason = run.paused_reason.unwrap_or_else(|| "the comparison waits".to_owned());
                self.stand_still(lease, &reason, STANDS_STILL).await?;
            }
            None => {}
        }
        Ok(turn)
    }

    async fn follow_as_it_is(&self, lease: &Lease, job: Job) -> Result<(), End> {
        let mut following = Following::begin(self, lease, job).await?;
        let target = following.plan.to_follow(&following.job.spec, following.slot.clone());
        match replication::prepare(&mut following.admin, &target).await {
            Ok(Prepared::Continues) => {}
            Ok(Prepared::Anew { lost }) => {
                if let Some(lost) = lost {
                    tracing::warn!(job_id = %lease.job_id, lost, "the slot was lost: the table is compared");
                }
                live::set_compared_slot(&self.pool, lease, None).await?;
                // What a comparison has read before there was this slot, no stream tells any more.
                live::begin_comparison_anew(&self.pool, lease).await?;
            }
            // A table that can't be followed can still be compared, if somebody asks for it.
            Err(_) if run::active(&self.pool, lease.job_id).await?.is_some() => {
                return Err(End::Compare { is_joined: false });
            }
            Err(error) => return Err(End::Stream(error)),
        }
        if run::active(&self.pool, lease.job_id).await?.is_some() {
            return Err(End::Compare { is_joined: true });
        }
        if live::compared_slot(&self.pool, lease.job_id).await?.as_deref() != Some(&following.slot) {
            return Err(End::Compare { is_joined: true });
        }
        let options = replication::Options { patience: LOOK, ..replication::Options::default() };
        let mut stream = Stream::open(following.source_url.expose(), &target, &options).await.map_err(End::Stream)?;
        tracing::info!(job_id = %lease.job_id, "following the table");
        let ended = following.read(&mut stream).await;
        stream.close().await;
        ended
    }
}

impl<'a> Following<'a> {
    async fn begin(worker: &'a Worker, lease: &'a Lease, job: Job) -> Result<Self, End> {
        let ground = worker.ground(job).await?;
        let state = worker.state(lease, &ground.place).await?;
        let slot = slot_name(lease.job_id);
        let client = db::client::resolve(&worker.pool, &ground.job.spec.source_client_name).await?;
        let client = client.ok_or(Stop::Cancelled)?;
        // Noted first: a slot that nobody knows of would hold back the log for ever.
        live::add_slot(&mut *worker.pool.acquire().await.map_err(Stop::from)?, &slot, lease.job_id, client.id).await?;
        let admin = source::connected(ground.source_url.expose()).await?;
        let is_compared = state.mapping.as_deref() == Some(&ground.plan.mapping);
        let collection = match state.collection.filter(|_| is_compared) {
            Some(collection) if ground.typesense.caught_up(&collection).await?.is_some() => Some(collection),
            _ => None,
        };
        if let Some(collection) = collection.as_ref().filter(|_| state.owns_collection) {
            find_by_name(&ground.typesense, &ground.job.spec.collection_name, collection).await?;
        }
        if collection.is_none() {
            // Another mapping, another backend, or it was deleted: the run makes what is needed.
            live::set_compared_slot(&worker.pool, lease, None).await?;
        }
        let importer = worker.importer(&ground, collection.unwrap_or_default());
        Ok(Self {
            worker,
            lease,
            plan: ground.plan,
            source: ground.source,
            source_url: ground.source_url,
            admin,
            importer,
            slot,
            owes_comparison: false,
            job: ground.job,
        })
    }

    async fn read(&mut self, stream: &mut Stream) -> Result<(), End> {
        let begun = Instant::now();
        let mut looked = begun;
        self.look_at_due().await?;
        loop {
            let batch = tokio::select! {
                () = self.worker.shutdown.cancelled() => return Err(End::Stop(Stop::Shutdown)),
                batch = stream.next() => batch.map_err(End::Stream)?,
            };
            let written_of = batch.as_ref().filter(|batch| !batch.keys.is_empty()).and_then(|batch| batch.committed_at);
            if let Some(batch) = batch {
                self.take(batch, stream).await?;
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look(written_of).await?;
            }
            if begun.elapsed() >= LOOK_ANEW {
                return Err(End::Changed);
            }
        }
    }

    async fn take(&mut self, batch: Batch, stream: &Stream) -> Result<(), End> {
        if batch.truncated {
            // That a comparison is owed is noted, so the stream need not tell it again.
            live::set_compared_slot(&self.worker.pool, self.lease, None).await?;
            self.owes_comparison = true;
        }
        let keys: Vec<Vec<String>> =
            batch.keys.into_iter().filter_map(|key| key.into_iter().collect::<Option<Vec<String>>>()).collect();
        for keys in keys.chunks(ROWS) {
            self.write(keys).await?;
        }
        if let Some(position) = batch.position {
            stream.confirm(position);
            if self.owes_comparison {
                return Err(End::Compare { is_joined: true });
            }
        }
        if batch.schema_changed {
            return Err(End::Changed);
        }
        Ok(())
    }

    /// Writes rows as they are in the table now.
    async fn write(&mut self, keys: &[Vec<String>]) -> Result<(), End> {
        let found = self.source.by_id(&self.plan.statement, keys).await?;
        let collection = self.importer.collection.clone();
        let ids: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        let doubted_for = self.importer.timeout + self.worker.options.doubt;
        let flight = flight::open(&self.worker.pool, self.lease, &collection, &ids, doubted_for).await?;
        let flight = flight.ok_or(Stop::LeaseLost)?;
        let (mut entries, mut letters, mut healed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut documents, mut places, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
        for (id, row) in &found {
            match row.as_ref().map(|row| (&row.document, row.hash)) {
                None | Some((Document::Unmade, _)) => {
                    deleted.push(id.as_str());
                    entries.push((id.as_str(), None));
                }
                Some((Document::Made(document), hash)) => {
                    documents.push(document.as_str());
                    places.push(entries.len());
                    entries.push((id.as_str(), Some(Entry { hash, standing: Standing::Written })));
                }
                Some((Document::Impossible(fault), hash)) => {
                    letters.push(Letter {
                        document_id: id.clone(),
                        document: None,
                        code: fault.code.to_owned(),
                        message: fault.message.clone(),
                        attempts: 1,
                    });
                    entries.push((id.as_str(), Some(Entry { hash, standing: Standing::RefusedOver })));
                }
            }
        }
        let Imported { refused, is_in_doubt } = self.importer.upsert(&documents).await?;
        let not_taken = refused.len() as i64;
        if !deleted.is_empty() {
            self.importer.delete(&deleted).await?;
        }
        for Refusal { position, code, message, attempts } in refused {
            let (id, entry) = &mut entries[places[position]];
            // What was there before is not looked up: it may be there.
            *entry = entry.map(|entry| Entry { standing: Standing::RefusedOver, ..entry });
            let document = Some(documents[position].to_owned());
            letters.push(Letter { document_id: (*id).to_owned(), document, code, message, attempts });
        }
        healed.extend(
            entries
                .iter()
                .filter(|(_, entry)| entry.is_none_or(|entry| !entry.is_refused()))
                .map(|(id, _)| (*id).to_owned()),
        );
        let (read, sent, refused) = (found.len() as i64, documents.len() as i64, letters.len() as i64);
        let flight = Settled { id: flight, is_in_doubt };
        let followed = Followed { collection: &collection, entries, flight, letters, healed };
        if !live::settle(&self.worker.pool, self.lease, &followed).await? {
            return Err(End::Stop(Stop::LeaseLost));
        }
        let deleted = deleted.len() as i64;
        let written = sent - not_taken;
        count_rows([
            ("read", read),
            ("unchanged", 0),
            ("written", written),
            ("deleted", deleted),
            ("refused", refused),
        ]);
        Ok(())
    }

    /// Documents in doubt, or that somebody asked for.
    async fn look_at_due(&mut self) -> Result<(), End> {
        let limit = i64::try_from(ROWS).unwrap_or(i64::MAX);
        loop {
            let ids = overlay::due(&self.worker.pool, self.lease.job_id, &self.importer.collection, limit).await?;
            if ids.is_empty() {
                return Ok(());
            }
            let keys: Vec<Vec<String>> = ids.iter().map(|id| split_id(id, self.plan.statement.id.len())).collect();
            self.write(&keys).await?;
        }
    }

    /// Looks at all that is not told by the stream.
    async fn look(&mut self, written_of: Option<chrono::DateTime<chrono::Utc>>) -> Result<(), End> {
        let pool = &self.worker.pool;
        let job = job::find(pool, self.lease.job_id).await?.ok_or(Stop::Cancelled)?;
        if job.updated_at != self.job.updated_at || !job.spec.enabled {
            return Err(End::Changed);
        }
        if run::active(pool, self.lease.job_id).await?.is_some()
            || overlay::is_large(pool, self.lease.job_id, &self.importer.collection).await?
        {
            return Err(End::Compare { is_joined: true });
        }
        let held = replication::held_back(&mut self.admin, &self.slot).await.map_err(End::Stream)?;
        let behind = match written_of {
            Some(committed_at) => {
                let age: f64 = sqlx::query_scalar("select extract(epoch from clock_timestamp() - $1)::float8")
                    .bind(committed_at)
                    .fetch_one(&mut self.admin)
                    .await
                    .map_err(|error| Stop::from(source::Error::Database(error)))?;
                (age * 1000.0) as i64
            }
            None => 0,
        };
        let lag = Lag { bytes: held.map_or(0, |held| held.bytes), millis: behind.max(0) };
        if !live::note(pool, self.lease, lag).await? {
            return Err(End::Stop(Stop::LeaseLost));
        }
        self.look_at_due().await
    }
}
