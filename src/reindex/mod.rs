//! Reindexing as it is asked for and told of, by whichever door. The worker does it.

pub mod job;
pub mod request;
mod view;
mod wish;

pub use view::{ReindexView, VersionView};
pub use wish::Wish;
