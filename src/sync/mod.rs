//! What table sync rests on, wherever it is done: what there is to sync, whether a job can be as it is described and what it would make, the plan by which
//! rows become documents, and whether a collection still holds what its table does.

pub mod check;
pub mod drift;
pub mod explore;
pub mod plan;
pub mod preview;
pub mod request;
pub mod verify;

pub use plan::{Fault, Plan};
