//! What the product's words mean: pure values and rules, no I/O. Everything else builds on this room.

pub mod backend;
pub mod backoff;
pub mod client_url;
pub mod derived_key;
pub mod document;
pub mod embedding;
pub mod fields;
pub mod filter;
pub mod key;
pub mod lane;
pub mod merge;
pub mod schedule;
pub mod scoped_token;
pub mod seal;
pub mod secret;
pub mod sensitive;
pub mod signature;
pub mod slug;
pub mod sort;
pub mod sync_entry;
pub mod sync_job;
