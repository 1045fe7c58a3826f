//! What the processes have said of something.

use super::{
    Error, State,
    page::{Page, PageQuery},
};
use crate::db::log_line::{self, LogLine};
use uuid::Uuid;

/// The last lines, or those before the page that was given, in the order of time.
pub(super) async fn page(state: &State, subject: Uuid, page: &PageQuery) -> Result<Page<LogLine>, Error> {
    let lines = log_line::list(&state.pool, subject, page.before()?, page.limit()? + 1).await?;
    let mut lines = page.page(lines, LogLine::place, |line| line)?;
    lines.items.reverse();
    Ok(lines)
}
