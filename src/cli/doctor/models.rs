//! The models that documents are embedded by: there, and the ones that the vectors were made by.

use std::collections::BTreeMap;

use sqlx::PgPool;
use tidewell::{
    db::checkup::{self, EmbeddingUse},
    domain::embedding::Model,
    embed::Embedders,
};

use super::finding::Finding;
use crate::cli::{Session, process};

const CHECK: &str = "model";

pub(super) async fn check(session: &Session, pool: &PgPool) -> Vec<Finding> {
    let embedders = match process::embedders(&session.config) {
        Ok(embedders) => embedders,
        Err(error) => return vec![Finding::unknown(CHECK, format!("{error:#}"))],
    };
    match checkup::embeddings(pool).await {
        Err(error) => vec![Finding::unknown(CHECK, error)],
        Ok(uses) => of_uses(&embedders, uses).await,
    }
}

async fn of_uses(embedders: &Embedders, uses: Vec<EmbeddingUse>) -> Vec<Finding> {
    let mut by_model: BTreeMap<String, Vec<EmbeddingUse>> = BTreeMap::new();
    for embedding_use in uses {
        by_model.entry(embedding_use.embedding.model.clone()).or_default().push(embedding_use);
    }
    let mut findings = Vec::new();
    for (model, uses) in by_model {
        // To ask it would fetch it.
        if matches!(uses[0].embedding.model(), Some(Model::Local(_))) && !embedders.has_local_model() {
            let finding = Finding::warning(
                CHECK,
                "its files are not on this machine",
                "nothing, where the machines that run `serve` and `work` have them or may fetch them; else set TIDEWELL_LOCAL_MODEL",
            );
            findings.push(finding.of(model));
            continue;
        }
        for EmbeddingUse { of, embedding, fingerprint } in uses {
            let finding = match (embedders.fingerprint(&embedding).await, fingerprint) {
                (Err(error), _) => Finding::problem(
                    CHECK,
                    error.to_string(),
                    "mend it: documents wait, and searches by meaning are 503",
                ),
                (Ok(now), Some(kept)) if serde_json::to_value(&now).unwrap_or_default() != kept.0 => Finding::problem(
                    CHECK,
                    "it is not the model any more that the vectors are from",
                    "reindex (`tidewell reindex INDEX --rebuild`, `tidewell sync run JOB --full`), or bring the former model back",
                ),
                (Ok(_), _) => Finding::ok(CHECK, "it answers"),
            };
            findings.push(finding.of(format!("{model} of {of}")));
        }
    }
    findings
}
