//! Searching what a table was synced into, by the names of the table.

use std::time::Instant;

use axum::{Json as Answer, extract::State as Shared};
use metrics::histogram;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::envelope::{Failures, Success, ok};
use crate::{
    backend,
    db::{self, profile::Profile, sync::job::Job},
    domain::fields,
    http::{
        Error, State,
        body::Json,
        search::{
            Ask, Failure, Mode, Parameters, Part, Ranking, Request, Spelling, count, query_vector, refused, run_in,
        },
    },
    metrics::SEARCH_DURATION,
    typesense::{self, Client, Found},
};

/// Search a synced table
///
/// The job is named by its id, or by its client and table. Searches are made with the backend's search key where it has one.
#[utoipa::path(post, path = "/typesense/search", tag = "table sync", security(("operator" = []), ("gateway" = [])),
    request_body = SearchBody, responses((status = 200, body = Success<SearchView>), Failures))]
pub(super) async fn search(
    Shared(state): Shared<State>,
    Json(body): Json<SearchBody>,
) -> Result<Answer<Success<SearchView>>, Error> {
    let begun = Instant::now();
    let job = body.job(&state).await?;
    let profile = db::profile::find(&state.pool, job.spec.typesense_profile_id).await?;
    let profile = profile.ok_or_else(|| Error::not_found("backend"))?;
    let client = state.search_client(&profile).await?;
    let searched = match (&body.query_by, job.spec.query_by_fields.is_empty()) {
        (None, true) => texts(&state, &profile, &job).await?,
        _ => job.spec.query_by_fields.clone(),
    };
    let parameters = body.parameters()?;
    let query_by = parameters.get("query_by").map(|names| names.split(',').map(str::to_owned).collect());
    let query_by: Vec<String> = query_by.unwrap_or_else(|| searched.clone());
    let ask = parameters.of_collection(&searched)?;
    let searching = Instant::now();
    let result = match ask.ranking {
        Ranking::Keyword => by_words(&client, &job, &ask).await,
        _ => by_meaning(&state, &client, &job, &ask).await,
    };
    histogram!(SEARCH_DURATION.name).record(searching.elapsed());
    count(ask.ranking, result.as_ref().err());
    let result = result?;
    let latency_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(ok("found", SearchView::new(job, profile, query_by, latency_ms, result)))
}

/// Typesense's own answer.
async fn by_words(client: &Client, job: &Job, ask: &Ask) -> Result<Value, Error> {
    let search = request(job, ask, &Part::whole(ask))?;
    let answer = client.multi_search(&[search]).await?.pop();
    answer.ok_or_else(|| Error::Internal("Typesense answered a search with nothing".to_owned()))?.map_err(unanswered)
}

/// What was found, in the shape of Typesense's answers.
async fn by_meaning(state: &State, client: &Client, job: &Job, ask: &Ask) -> Result<Value, Error> {
    let vector = async {
        let embedding = job.spec.embedding.as_ref().ok_or_else(|| {
            Error::invalid("mode: what this job writes has no vectors: give it an embedding, and run it")
        })?;
        let written = db::sync::state::find(&state.pool, job.id).await?;
        let written = written.filter(|written| written.collection.is_some()).ok_or_else(not_synced)?;
        query_vector(state, embedding, written.fingerprint.as_deref(), &ask.q).await.map(Some)
    };
    let found = run_in(client, ask, vector, |part| Ok(request(job, ask, part)?.to_string())).await;
    let Found { found, page, search_time_ms, search_cutoff, hits, facet_counts, .. } = match found {
        Ok(found) => found,
        Err(Failure::Here(error)) => return Err(error),
        Err(Failure::Typesense(error)) => return Err(unanswered(error)),
    };
    let none = || json!([]);
    Ok(json!({
        "facet_counts": facet_counts.map_or_else(none, |facets| json!(facets)), "found": found,
        "hits": hits.map_or_else(none, |hits| json!(hits)), "out_of": found, "page": page,
        "request_params": { "collection_name": job.spec.collection_name, "per_page": ask.per_page, "q": ask.q },
        "search_cutoff": search_cutoff, "search_time_ms": search_time_ms,
    }))
}

/// One request of a search of a job's collection, which nothing but the caller's own filter confines.
fn request(job: &Job, ask: &Ask, part: &Part<'_>) -> Result<Value, Error> {
    let own = ask.filter.as_ref().map(|own| format!("({own})"));
    let filters: Vec<&str> = part.ids.into_iter().chain(own.as_deref()).collect();
    let filter = (!filters.is_empty()).then(|| filters.join(" && "));
    let request = Request { collection: &job.spec.collection_name, ask, part, filter: filter.as_deref() };
    serde_json::to_value(request).map_err(|error| Error::Internal(error.to_string()))
}

fn unanswered(error: typesense::Error) -> Error {
    match error {
        typesense::Error::Status { status: 404, message } if !message.contains("field") => not_synced(),
        error => refused(error, Spelling::Snake),
    }
}

fn not_synced() -> Error {
    Error::not_found("collection: the job has not been synced yet")
}

/// The fields of a collection that hold texts.
async fn texts(state: &State, profile: &Profile, job: &Job) -> Result<Vec<String>, Error> {
    // A search key may not ask for them.
    let found = backend::client(profile, state.sealer()?)?
        .fields_behind(&job.spec.collection_name)
        .await?
        .ok_or_else(not_synced)?;
    Ok(fields::searchable(&found))
}

/// What to search, and for what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchBody {
    /// The sync job; or its client and table.
    job_id: Option<Uuid>,
    source_client_name: Option<String>,
    /// `public` where there is such a job, unless this is given.
    source_schema_name: Option<String>,
    source_table_name: Option<String>,
    /// Everything where left out.
    q: Option<String>,
    /// The job's `query_by_fields` where left out.
    query_by: Option<Vec<String>>,
    filter_by: Option<String>,
    sort_by: Option<String>,
    facet_by: Option<Vec<String>>,
    include_fields: Option<Vec<String>>,
    exclude_fields: Option<Vec<String>>,
    highlight_fields: Option<Vec<String>>,
    /// `<mark>` where left out.
    highlight_start_tag: Option<String>,
    /// `</mark>` where left out.
    highlight_end_tag: Option<String>,
    #[schema(minimum = 1, default = 1)]
    page: Option<u32>,
    #[schema(maximum = 100, default = 10)]
    per_page: Option<u32>,
    /// `keyword` where left out; the others need the job's `embedding`.
    mode: Option<Mode>,
    /// Of `hybrid`: how much meaning counts beside words, 0.5 where left out.
    #[schema(minimum = 0, maximum = 1)]
    alpha: Option<f64>,
}

impl SearchBody {
    async fn job(&self, state: &State) -> Result<Job, Error> {
        let texts = [&self.source_client_name, &self.source_schema_name, &self.source_table_name];
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return Err(Error::not_found("sync job"));
        }
        let found = match (self.job_id, &self.source_client_name, &self.source_table_name) {
            (Some(id), None, None) => db::sync::job::find(&state.pool, id).await?,
            (None, Some(client), Some(table)) => {
                db::sync::job::of_table(&state.pool, client, self.source_schema_name.as_deref(), table).await?
            }
            _ => return Err(Error::invalid("give either job_id, or source_client_name and source_table_name")),
        };
        let found = found.filter(|job| job.spec.enabled);
        found.ok_or_else(|| Error::not_found("enabled sync job: /typesense/sync-jobs lists them"))
    }

    fn parameters(&self) -> Result<Parameters, Error> {
        let list = |names: &Option<Vec<String>>| names.as_ref().map(|names| names.join(","));
        let count = |count: Option<u32>| count.map(|count| count.to_string());
        let given = [
            ("q", self.q.clone()),
            ("query_by", list(&self.query_by)),
            ("filter_by", self.filter_by.clone()),
            ("sort_by", self.sort_by.clone()),
            ("facet_by", list(&self.facet_by)),
            ("include_fields", list(&self.include_fields)),
            ("exclude_fields", list(&self.exclude_fields)),
            ("highlight_fields", list(&self.highlight_fields)),
            ("highlight_start_tag", self.highlight_start_tag.clone()),
            ("highlight_end_tag", self.highlight_end_tag.clone()),
            ("page", count(self.page)),
            ("per_page", count(self.per_page)),
        ];
        let mut parameters = Parameters::new(Spelling::Snake);
        parameters.rank(Ranking::of(self.mode, self.alpha)?);
        for (name, value) in given {
            if let Some(value) = value {
                parameters.set(name, &value)?;
            }
        }
        Ok(parameters)
    }
}

/// What was found, and where.
#[derive(Serialize, ToSchema)]
#[schema(as = TableSearchResult)]
pub(super) struct SearchView {
    job_id: Uuid,
    job_name: String,
    profile_name: String,
    collection_name: String,
    source_client_name: String,
    source_schema_name: String,
    source_table_name: String,
    /// The fields that were searched.
    query_by: Vec<String>,
    /// From the request's arrival to Typesense's answer.
    latency_ms: u64,
    /// Typesense's own; by `hybrid` each hit has `fusion`, too: `{score, keyword_rank, vector_rank, vector_distance}`.
    #[schema(value_type = Object)]
    result: Value,
}

impl SearchView {
    fn new(job: Job, profile: Profile, query_by: Vec<String>, latency_ms: u64, result: Value) -> Self {
        Self {
            job_id: job.id,
            job_name: job.spec.name,
            profile_name: profile.name,
            collection_name: job.spec.collection_name,
            source_client_name: job.spec.source_client_name,
            source_schema_name: job.spec.source_schema_name,
            source_table_name: job.spec.source_table_name,
            query_by,
            latency_ms,
            result,
        }
    }
}
