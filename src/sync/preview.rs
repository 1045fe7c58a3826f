//! What a job would make of its table: some documents, and the collection that they would be in. Nothing is written anywhere.

use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Fault, Plan,
    check::{Refusal, check},
    explore::READING,
};
use crate::{
    db,
    domain::{seal::Sealer, sync_job::Spec},
    embed::{self, Embedders},
    source::{self, Document, Range, Row, Source},
};

/// Documents of a preview.
const DOCUMENTS: usize = 3;

/// What would become of a table.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncJobPreview)]
pub struct Preview {
    /// Of the first rows by their key, without vectors.
    #[schema(value_type = Vec<Object>)]
    pub documents: Vec<Box<RawValue>>,
    /// Those of these rows that can be no documents.
    pub refused: Vec<Refused>,
    /// The collection as Typesense would be asked for it; a number is put behind its name, which becomes an alias.
    #[schema(value_type = Object)]
    pub schema: Value,
}

/// A row that can be no document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncJobPreviewRefusal)]
pub struct Refused {
    pub id: String,
    /// Stable, snake_case.
    pub code: &'static str,
    pub message: String,
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job can't be saved either.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error(transparent)]
    Model(#[from] embed::Error),
}

/// Looks at what would come of a description; `except` is the job that it would replace.
///
/// # Errors
/// As [`check`], or where only the model knows how long its vectors are, and it is away.
pub async fn preview(
    pool: &PgPool,
    sealer: &Sealer,
    embedders: &Embedders,
    spec: &Spec,
    except: Option<Uuid>,
) -> Result<Preview, Error> {
    let mut plan = check(pool, sealer, spec, except).await?;
    let rows = first_rows(pool, sealer, spec, &plan).await?;
    if let Some(embedding) = &spec.embedding {
        plan = plan.embedded(embedding, embedders.fingerprint(embedding).await?);
    }
    let mut preview =
        Preview { documents: vec![], refused: vec![], schema: json!(plan.collection(&spec.collection_name)) };
    for Row { id, document, .. } in rows {
        match document {
            Document::Made(line) => preview.documents.extend(RawValue::from_string(line)),
            Document::Impossible(fault) => {
                preview.refused.push(Refused { id, code: fault.code, message: fault.message });
            }
            Document::Unmade => {}
        }
    }
    Ok(preview)
}

async fn first_rows(pool: &PgPool, sealer: &Sealer, spec: &Spec, plan: &Plan) -> Result<Vec<Row>, Refusal> {
    let unread = |message: String| Refusal::Faults(vec![Fault { field: "source_client_name".to_owned(), message }]);
    let client = db::client::resolve(pool, &spec.source_client_name).await?;
    let client = client.ok_or_else(|| unread("the client was deleted meanwhile".to_owned()))?;
    let url = client.url(sealer)?;
    let read = async {
        let mut source = Source::connect(url.expose()).await?;
        source.limit_statements(READING).await?;
        let range = Range { lower: None, upper: None, limit: DOCUMENTS, since: None };
        let read = source.range(&plan.statement, range, |_, _| true).await?;
        source.close().await;
        Ok::<_, source::Error>(read.rows)
    };
    read.await.map_err(|error| unread(error.to_string()))
}
