//! What table sync rests on, wherever it is done: whether a job can be as it is described, and the plan by which rows become documents.

pub mod check;
pub mod drift;
pub mod plan;
pub mod verify;

pub use plan::{Fault, Plan};
