//! The accepting door: what a write must pass, and the one transaction that makes it durable.

mod accept;
pub mod rate;

pub use accept::{Accepted, Idempotency, Refusal, Write, Writes, accept};
