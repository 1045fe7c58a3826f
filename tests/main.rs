//! Tidewell from the outside: real processes on real servers.

#[expect(unreachable_pub, reason = "written as a library of its own, which `jobs` uses too")]
mod support;

mod accepting;
mod backends;
mod clients;
mod cluster;
mod compatible_writes;
mod console;
mod dead_letters;
mod dev;
mod doctor;
mod drift;
mod embedding;
mod faults;
mod flights;
mod front_door;
mod gateway_keys;
mod hostile_clients;
mod isolation;
mod journal;
mod live;
mod meaning;
mod models;
mod monitoring;
mod native;
mod parsers;
mod projecting;
mod provisioning;
mod quota;
mod reindex_requests;
mod reindexing;
mod remembering;
mod replication;
mod restoring;
mod rolling;
mod scaling;
mod scoped_tokens;
mod searching;
mod secrets;
mod several;
mod source_clients;
mod source_tables;
mod ssrf;
mod sync_commands;
mod sync_faults;
mod sync_letters;
mod sync_previews;
mod sync_rebuilds;
mod sync_status;
mod syncing;
mod table_search;
mod tenants;
#[cfg(feature = "otel")]
mod traces;
mod typesense_client;
