//! The jobs of Tidewell, and the one crate that knows apalis.
//!
//! A job here is a typed wake-up with ids in it: enqueued in the caller's transaction, safe to
//! lose, to repeat and to run late. The truth about rows, retries, leases and dead letters lives in
//! the application's own tables.
//!
//! # What apalis does, and what this crate does itself
//!
//! apalis owns the schema (`apalis.jobs`, `apalis.workers`, the notify trigger), the worker with its
//! life cycle and concurrency limit, the state machine of a durable backend (`Persisted`) and the
//! cron stream. The backend's statements are this crate's own (`store`), because the stock ones of
//! `apalis-postgres` 1.0.0 have no durable backoff, revive crash-looping jobs for ever, acknowledge
//! from inside the poll loop (so that acks and heartbeats starve) and turn a database hiccup into a
//! dead worker that drops the handlers in flight. Writing those few statements rightly is simpler
//! than repairing wrong ones with triggers, and the rows stay readable to any apalis tool.

mod claim;
mod cron;
mod enqueue;
mod enqueue_due_syncs;
mod failure;
mod job;
mod liveness;
mod persistence;
mod project_index;
mod project_lane;
mod prune;
mod prune_finished;
mod queue;
mod read_back_flights;
mod resolve_filter_delete;
mod run;
mod run_reindex;
mod run_sync;
mod runtime;
mod setup;
mod store;
mod verify_indexes;
mod wake;

pub use enqueue::enqueue;
pub use enqueue_due_syncs::EnqueueDueSyncs;
pub use failure::{BoxError, Failure};
pub use job::Job;
pub use project_index::ProjectIndex;
pub use project_lane::ProjectLane;
pub use prune::{Pruned, prune};
pub use prune_finished::PruneFinished;
pub use read_back_flights::ReadBackFlights;
pub use resolve_filter_delete::ResolveFilterDelete;
pub use run_reindex::RunReindex;
pub use run_sync::RunSync;
pub use runtime::{Runtime, RuntimeOptions};
pub use setup::{Error, Schema, schema, setup};
pub use verify_indexes::VerifyIndexes;
