//! What stands between the processes: it passes everything on until it is told not to.

pub(crate) mod database;
pub(crate) mod http;
mod message;
pub(crate) mod trick;
