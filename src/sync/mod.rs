//! What table sync rests on, wherever it is done: what there is to sync, whether a job can be as it is
//! described, and the plan by which rows become documents.

pub mod check;
pub mod explore;
pub mod plan;

pub use plan::{Fault, Plan};
