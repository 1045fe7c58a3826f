//! The gate: what a request must pass, and the one transaction that makes a write durable.

mod accept;
mod change;
pub mod permits;
pub mod rate;
mod turns;

pub use accept::{Accepted, Idempotency, Refusal, Write, Writes, accept};
pub use change::{Action, Change, Changed, Changes, Fault, change};
