//! Tidewell's protocols, small enough to visit every state that they can reach.
//!
//! The models follow `ARCHITECTURE.md`, "What must hold, and why it does": each property bears the name of what it stands for there.
//! That a property says something is shown by breaking the rules one by one: without any of them the checker finds a way to what must
//! not be.

pub mod lane;
pub mod swap;
pub mod sync;
