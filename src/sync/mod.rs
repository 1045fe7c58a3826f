//! What table sync rests on, wherever it is done: the plan by which rows become documents, and what is remembered of each.

pub mod check;
pub mod entry;
pub mod plan;

pub use entry::{Entry, Standing};
pub use plan::{Fault, Plan};
