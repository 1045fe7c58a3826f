//! What a collection must hold, by the accepted writes alone.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::PgPool;

use super::stack::Setting;

/// The documents of one index, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Oracle(pub BTreeMap<String, Value>);

impl Oracle {
    pub fn upsert(&mut self, document: &Value) {
        self.0.insert(document["id"].as_str().expect("an id").to_owned(), document.clone());
    }

    pub fn delete(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// Compares with the collection, document by document, without what Tidewell adds.
    pub async fn equals(&self, setting: &Setting, alias: &str) {
        let held = held(setting, alias).await;
        let missing: Vec<_> = self.0.keys().filter(|id| !held.contains_key(*id)).take(5).collect();
        let extra: Vec<_> = held.keys().filter(|id| !self.0.contains_key(*id)).take(5).collect();
        let stale = self.0.iter().filter(|(id, document)| held.get(*id).is_some_and(|held| held != *document));
        let stale: Vec<_> = stale.map(|(id, document)| (id, document, &held[id])).take(5).collect();
        assert!(
            missing.is_empty() && extra.is_empty() && stale.is_empty(),
            "of {} documents: missing {missing:?}, extra {extra:?}, stale {stale:?}",
            self.0.len()
        );
    }
}

/// What the collection behind an alias holds.
pub async fn held(setting: &Setting, alias: &str) -> BTreeMap<String, Value> {
    let url = format!("{}/collections/{alias}/documents/export", setting.typesense_url);
    let export = reqwest::Client::builder().no_proxy().build().expect("a client");
    let export =
        export.get(url).header("x-typesense-api-key", &setting.typesense_api_key).send().await.expect("an export");
    if export.status() == 404 {
        return BTreeMap::new();
    }
    let lines = export.error_for_status().expect("an export").text().await.expect("lines");
    let documents = lines.lines().map(|line| {
        let mut document: Value = serde_json::from_str(line).expect("a document");
        let fields = document.as_object_mut().expect("an object");
        fields.remove("tenantId").expect("its tenant");
        fields.remove("_tidewell_version").expect("its version");
        fields.remove("_tidewell_vector");
        (document["id"].as_str().expect("an id").to_owned(), document)
    });
    documents.collect()
}

/// Rows that the durable path still holds: everything accepted is settled where this is zero.
pub async fn unsettled(pool: &PgPool) -> Result<(), String> {
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from tidewell.outbox) + (select count(*) from tidewell.filter_deletes)
              + (select count(*) from tidewell.flights)",
    )
    .fetch_one(pool)
    .await
    .map_err(|error| error.to_string())?;
    if left == 0 { Ok(()) } else { Err(format!("{left} rows are unsettled")) }
}
