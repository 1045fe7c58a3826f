//! What must hold of the jobs, each against a real server. A test is named after what holds.

mod coalescing;
mod ending;
mod outage;
mod pruning;
mod recovery;
mod schema;
mod support;
mod ticking;
mod waking;
