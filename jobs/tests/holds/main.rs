//! What must hold of the jobs, each against a real server. A test is named after what holds.

mod coalescing;
mod ending;
mod outage;
mod pruning;
mod recovery;
mod schema;
#[path = "../../../tests/support/servers.rs"]
#[expect(dead_code, unreachable_pub, reason = "it serves other tests too")]
mod servers;
mod support;
mod ticking;
mod waking;
