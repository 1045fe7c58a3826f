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
mod drift;
mod embedding;
mod faults;
mod front_door;
mod gateway_keys;
mod isolation;
mod journal;
mod live;
mod meaning;
mod models;
mod native;
mod projecting;
mod provisioning;
mod quota;
mod reindex_requests;
mod reindexing;
mod remembering;
mod replication;
mod rolling;
mod scoped_tokens;
mod searching;
mod several;
mod source_clients;
mod source_tables;
mod sync_commands;
mod sync_faults;
mod sync_letters;
mod sync_previews;
mod sync_rebuilds;
mod sync_status;
mod syncing;
mod table_search;
mod tenants;
mod typesense_client;
