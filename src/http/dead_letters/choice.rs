//! Which dead letters a call is about.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    db::{
        self,
        dead_letter::{Operation, Selection},
    },
    http::{Error, Fault, State, body, caller::Caller, organizations, validate::is_storable},
};

const MAX_IDS: usize = 1000;

/// Which dead letters; what is left out is no condition.
#[derive(Deserialize, IntoParams, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct LetterFilter {
    /// An organization's id or slug.
    organization: Option<String>,
    /// An index's id or slug.
    index: Option<String>,
    /// A sync job's id or name.
    sync_job: Option<String>,
    /// An error signature, as the groups show it.
    signature: Option<String>,
    /// Only those that failed at or after this moment.
    since: Option<DateTime<Utc>>,
    operation: Option<Operation>,
}

/// The filter in a query string, beside the page's parameters.
#[derive(Deserialize)]
pub(in crate::http) struct Wanted {
    #[serde(flatten)]
    pub(in crate::http) filter: LetterFilter,
}

impl LetterFilter {
    fn is_empty(&self) -> bool {
        let Self { organization, index, sync_job, signature, since, operation } = self;
        let names = [organization, index, sync_job, signature];
        names.iter().all(|name| name.is_none()) && since.is_none() && operation.is_none()
    }

    /// What the filter selects within the caller's own.
    pub(in crate::http) async fn selection(&self, state: &State, caller: &Caller) -> Result<Selection<'_>, Error> {
        if self.since.is_some_and(|since| !is_storable(since)) {
            return Err(Error::invalid("since: a moment in the years 1 to 9999"));
        }
        let mut organization_id = caller.organization_id();
        if let Some(name) = &self.organization {
            let organization = organizations::find(state, name).await?;
            if organization_id.is_some_and(|own| own != organization.id) {
                return Err(Error::not_found("organization"));
            }
            organization_id = Some(organization.id);
        }
        let index_id = match &self.index {
            Some(name) => Some(state.index_within(caller, organization_id, name).await?.id),
            None => caller.index_id(),
        };
        let sync_job_id = match &self.sync_job {
            Some(name) => Some(sync_job(state, caller, name).await?),
            None => None,
        };
        Ok(Selection {
            ids: None,
            organization_id,
            index_id,
            sync_job_id,
            signature: self.signature.as_deref(),
            since: self.since,
            operation: self.operation,
        })
    }
}

/// A sync job, which is the operator's alone.
async fn sync_job(state: &State, caller: &Caller, name: &str) -> Result<Uuid, Error> {
    let found = match caller {
        Caller::Operator => db::sync::job::resolve(&state.pool, name).await?,
        Caller::Tenant(_) | Caller::Scoped(..) => None,
    };
    found.map(|job| job.id).ok_or_else(|| Error::not_found("sync job"))
}

/// Dead letters to act on: by their ids or by a filter, one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = DeadLetterChoice)]
pub(in crate::http) struct Choice {
    #[schema(min_items = 1, max_items = 1000)]
    ids: Option<Vec<Uuid>>,
    /// With one condition at least.
    #[serde(default, deserialize_with = "body::object")]
    filter: Option<LetterFilter>,
    /// Only count them.
    #[serde(default)]
    pub(in crate::http) dry_run: bool,
}

impl Choice {
    pub(in crate::http) async fn selection(&self, state: &State, caller: &Caller) -> Result<Selection<'_>, Error> {
        let fault = |field: &str, message: &str| Err(Error::validation(vec![Fault::new(field, message)]));
        match (&self.ids, &self.filter) {
            (Some(ids), None) if !(1..=MAX_IDS).contains(&ids.len()) => fault("ids", "must be 1 to 1000 ids"),
            (Some(ids), None) => Ok(Selection {
                ids: Some(ids),
                organization_id: caller.organization_id(),
                index_id: caller.index_id(),
                ..Selection::default()
            }),
            (None, Some(filter)) if filter.is_empty() => fault("filter", "must hold one condition at least"),
            (None, Some(filter)) => filter.selection(state, caller).await,
            _ => fault("body", "must hold either ids or a filter"),
        }
    }
}
