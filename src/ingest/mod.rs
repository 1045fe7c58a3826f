//! The accepting door: what a write must pass, and the one transaction that makes it durable.

mod accept;
mod change;
pub mod rate;

pub use accept::{Accepted, Idempotency, Refusal, Write, Writes, accept};
pub use change::{Action, Change, Changed, Changes, Fault, change};
