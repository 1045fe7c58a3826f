//! Lists: one page of them, with the cursor of the next.

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Session;

/// Which part of a list, newest first.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct PageArgs {
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Begin after this one: the nextCursor of the page before
    #[arg(long, value_name = "ID")]
    pub(super) cursor: Option<Uuid>,
}

impl PageArgs {
    /// Rows to read: one more than are shown, to see whether there are more.
    pub(super) fn reads(self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Prints the page: in JSON as the API shows it, else as a table that says how to get on.
    pub(super) fn show<R>(
        self,
        session: &Session,
        mut rows: Vec<R>,
        id: impl Fn(&R) -> Uuid,
        view: impl Fn(&R) -> Value,
        table: impl FnOnce(&[R]) -> String,
    ) -> anyhow::Result<()> {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let next_cursor = rows.last().filter(|_| more).map(id);
        let items: Vec<Value> = rows.iter().map(view).collect();
        session.show(&json!({ "items": items, "nextCursor": next_cursor }), || match next_cursor {
            Some(cursor) => format!("{}\n(there are more: --cursor {cursor})", table(&rows)),
            None => table(&rows),
        })
    }
}
