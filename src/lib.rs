//! Tidewell: document writes and table syncs, durably through Postgres, into Typesense.
//!
//! `ARCHITECTURE.md` is the map of these rooms.

pub mod backend;
pub mod config;
pub mod console;
pub mod db;
pub mod dev;
pub mod domain;
pub mod drift;
pub mod embed;
pub mod http;
pub mod ingest;
pub mod journal;
pub mod metrics;
pub mod probe;
pub mod reach;
pub mod reindex;
pub mod replication;
pub mod source;
pub mod sync;
pub mod trace;
pub mod typesense;
pub mod wheels;
pub mod worker;
