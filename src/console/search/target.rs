//! What can be searched.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    console::{
        Console,
        api::{List, Refusal, segment},
        session::Session,
    },
    domain::fields::searchable,
};

/// As many of each kind are offered by name; the others are reached from their own pages.
const OFFERED: &str = "limit=250";

/// An index, or the collection of a sync job.
pub(super) struct Target {
    kind: Kind,
    id: String,
    /// For a person.
    pub(super) name: String,
    /// Fields that are searched where nothing else is said.
    pub(super) texts: Vec<String>,
    pub(super) facets: Vec<String>,
    pub(super) sorts: Vec<String>,
    /// Whether its documents can be found by their meaning.
    pub(super) has_vectors: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Index,
    SyncJob,
}

#[derive(Deserialize)]
struct Index {
    id: String,
    slug: String,
    organization: Option<String>,
    fields: Vec<Value>,
    embedding: Option<Value>,
}

#[derive(Deserialize)]
struct Job {
    id: String,
    name: String,
    enabled: bool,
    query_by_fields: Vec<String>,
    facet_by_fields: Vec<String>,
    sort_by_fields: Vec<String>,
    embedding: Option<Value>,
}

/// Everything that is offered, and what is asked for even where it is not.
pub(super) async fn all(console: &Console, session: &Session, asked: Option<&str>) -> Result<Vec<Target>, Refusal> {
    let indexes: List<Index> = console.api.get(session, &format!("/v1/indexes?{OFFERED}")).await?;
    let jobs: List<Job> = console.api.get(session, &format!("/typesense/sync-jobs?{OFFERED}")).await?;
    let mut all: Vec<_> = indexes.items.into_iter().map(Target::from).collect();
    all.extend(jobs.items.into_iter().filter(|job| job.enabled).map(Target::from));
    all.sort_by(|a, b| (a.kind == Kind::SyncJob, &a.name).cmp(&(b.kind == Kind::SyncJob, &b.name)));
    if let Some(asked) = asked.filter(|asked| !all.iter().any(|target| target.is_called(asked))) {
        all.extend(one(console, session, asked).await?);
    }
    Ok(all)
}

async fn one(console: &Console, session: &Session, asked: &str) -> Result<Option<Target>, Refusal> {
    let found = match asked.split_once(':') {
        Some(("index", id)) => {
            console.api.get::<Index>(session, &format!("/v1/indexes/{}", segment(id))).await.map(Target::from)
        }
        Some(("job", id)) => {
            console.api.get::<Job>(session, &format!("/typesense/sync-jobs/{}", segment(id))).await.map(Target::from)
        }
        _ => return Ok(None),
    };
    match found {
        Ok(target) => Ok(Some(target)),
        Err(refusal) if refusal.status.is_client_error() => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

impl Target {
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is called in an address.
    pub(super) fn value(&self) -> String {
        match self.kind {
            Kind::Index => format!("index:{}", self.id),
            Kind::SyncJob => format!("job:{}", self.id),
        }
    }

    pub(super) fn is_called(&self, value: &str) -> bool {
        self.value() == value
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Where the API searches it.
    pub(super) fn path(&self) -> String {
        match self.kind {
            Kind::Index => format!("/v1/indexes/{}/search", segment(&self.id)),
            Kind::SyncJob => "/typesense/search".to_owned(),
        }
    }
}

impl From<Index> for Target {
    fn from(index: Index) -> Self {
        let name = |field: &Value| field["name"].as_str().map(str::to_owned);
        let is = |field: &Value, flag: &str| field[flag].as_bool().unwrap_or(false);
        let number = |field: &Value| matches!(field["type"].as_str(), Some("int32" | "int64" | "float" | "bool"));
        let sorted = |field: &&Value| is(field, "sort") || number(field);
        Self {
            kind: Kind::Index,
            id: index.id,
            name: index.organization.map(|organization| format!("{organization} / ")).unwrap_or_default() + &index.slug,
            texts: searchable(&index.fields),
            facets: index.fields.iter().filter(|field| is(field, "facet")).filter_map(name).collect(),
            sorts: index.fields.iter().filter(sorted).filter_map(name).collect(),
            has_vectors: index.embedding.is_some(),
        }
    }
}

impl From<Job> for Target {
    fn from(job: Job) -> Self {
        Self {
            kind: Kind::SyncJob,
            id: job.id,
            name: job.name,
            texts: job.query_by_fields,
            facets: job.facet_by_fields,
            sorts: job.sort_by_fields,
            has_vectors: job.embedding.is_some(),
        }
    }
}
