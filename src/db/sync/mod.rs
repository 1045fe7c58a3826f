//! Table sync: jobs and runs, who holds a job, and what each has written.

pub mod chunk;
pub mod flight;
pub mod job;
pub mod lease;
pub mod live;
pub mod overlay;
pub mod position;
pub mod run;
pub mod settle;
pub mod state;
