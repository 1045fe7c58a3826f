//! Lists: one shape and one kind of cursor everywhere.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Error;

/// Items of one page when the caller does not say.
const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 250;

/// A page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T: ToSchema> {
    pub(super) items: Vec<T>,
    /// Give it back as `cursor` for the next page; null on the last.
    pub(super) next_cursor: Option<String>,
}

/// Where a page begins and how long it may be.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `nextCursor` of the page before.
    pub(super) cursor: Option<String>,
    #[param(minimum = 1, maximum = 250, default = 50)]
    pub(super) limit: Option<i64>,
}

impl PageQuery {
    /// What the page begins after.
    pub(super) fn before<C: FromStr>(&self) -> Result<Option<C>, Error> {
        let parse = |cursor: &String| cursor.parse().map_err(|_| Error::invalid("cursor: not one that a list gave"));
        self.cursor.as_ref().map(parse).transpose()
    }

    pub(super) fn limit(&self) -> Result<i64, Error> {
        match self.limit {
            None => Ok(DEFAULT_LIMIT),
            Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            Some(_) => Err(Error::invalid(format!("limit: 1 to {MAX_LIMIT}"))),
        }
    }

    /// Makes the page of rows of which one more than the limit was read.
    pub(super) fn page<R, T: ToSchema, C: ToString>(
        &self,
        mut rows: Vec<R>,
        cursor: impl Fn(&R) -> C,
        show: impl Fn(R) -> T,
    ) -> Result<Page<T>, Error> {
        let limit = usize::try_from(self.limit()?).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok(Page::of(rows, more, cursor, show))
    }
}

impl<T: ToSchema> Page<T> {
    /// A list that is always given whole.
    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }

    /// The page of exactly these rows; `more` follow or do not.
    pub(super) fn of<R, C: ToString>(
        rows: Vec<R>,
        more: bool,
        cursor: impl Fn(&R) -> C,
        show: impl Fn(R) -> T,
    ) -> Self {
        let next_cursor = rows.last().filter(|_| more).map(|row| cursor(row).to_string());
        Self { items: rows.into_iter().map(show).collect(), next_cursor }
    }
}
