//! Lists: one page of them, with the cursor of the next.

use std::{fmt::Display, str::FromStr};

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::Session;

/// Which part of a list, in the list's order; `C` is what its cursors hold.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct PageArgs<C = Uuid>
where
    C: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Begin after this one: the nextCursor of the page before
    #[arg(long, value_parser = parse_cursor::<C>)]
    pub(super) cursor: Option<C>,
}

fn parse_cursor<C: FromStr<Err: Display>>(text: &str) -> Result<C, String> {
    text.parse().map_err(|error| format!("not one that a list gave ({error})"))
}

/// A page as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<C> PageArgs<C>
where
    C: FromStr<Err: Display> + Display + Clone + Send + Sync + 'static,
{
    pub(super) fn limit(&self) -> i64 {
        i64::from(self.limit)
    }

    /// Rows to read: one more than are shown, to see whether there are more.
    pub(super) fn reads(&self) -> i64 {
        self.limit() + 1
    }

    /// Prints the page of rows of which one more than the limit was read.
    pub(super) fn show<'a, R, V: Serialize + 'a>(
        &self,
        session: &Session,
        rows: &'a [R],
        cursor: impl Fn(&R) -> C,
        view: impl Fn(&'a R) -> V,
        table: impl FnOnce(&[R]) -> String,
    ) -> anyhow::Result<()> {
        let shown = &rows[..rows.len().min(self.limit as usize)];
        self.show_part(session, shown, rows.len() > shown.len(), cursor, view, table)
    }

    /// Prints the page: in JSON as the API shows it, else as a table that says how to get on where there is more.
    pub(super) fn show_part<'a, R, V: Serialize + 'a>(
        &self,
        session: &Session,
        rows: &'a [R],
        more: bool,
        cursor: impl Fn(&R) -> C,
        view: impl Fn(&'a R) -> V,
        table: impl FnOnce(&[R]) -> String,
    ) -> anyhow::Result<()> {
        let next_cursor = rows.last().filter(|_| more).map(|row| cursor(row).to_string());
        let page = Page { items: rows.iter().map(view).collect(), next_cursor };
        session.show(&page, || match &page.next_cursor {
            Some(cursor) => format!("{}\n(there are more: --cursor {cursor})", table(rows)),
            None => table(rows),
        })
    }
}
