//! Writes that flow in while something else happens, and what must come of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    client::Client,
    eventually,
    oracle::{Oracle, unsettled},
    stack::{Setting, Tenant},
};

/// Writes that flow in: batches of upserts, some of them of documents that Typesense refuses, and deletes, of ids that come again.
pub struct Flow {
    pub random: StdRng,
    pub oracle: Oracle,
    /// `(id, title)` of every document that Typesense refuses.
    refused: BTreeSet<(String, String)>,
    /// Those of them that no later write of the document could overtake: they must be dead, all of them.
    last_refused: BTreeMap<String, String>,
    ids: usize,
    pub written: usize,
}

impl Flow {
    pub fn new(seed: u64, ids: usize) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let (refused, last_refused) = Default::default();
        Self { random, oracle: Oracle::default(), refused, last_refused, ids, written: 0 }
    }

    /// Sends one request, again until it is acknowledged, and only then tells the oracle.
    pub async fn write(&mut self, client: &Client) {
        let size = *[1, 10, 100].choose(&mut self.random).expect("a size");
        let key = format!("request-{}-{}", self.written, self.random.random::<u32>());
        let ids: Vec<String> = (0..size).map(|_| self.random.random_range(0..self.ids).to_string()).collect();
        let is_delete = self.random.random_bool(0.1);
        let documents: Vec<Value> = match is_delete {
            true => vec![],
            false => ids.iter().enumerate().map(|(n, id)| self.document(id, n)).collect(),
        };
        let (path, body) = match is_delete {
            true => ("/v1/indexes/books/documents:batchDelete", json!({ "ids": ids })),
            false => ("/v1/indexes/books/documents:batch", json!({ "documents": documents })),
        };
        eventually(Duration::from_secs(120), || async {
            let request = client.request(reqwest::Method::POST, path).header("idempotency-key", &key).json(&body);
            match request.send().await {
                Ok(answer) if answer.status() == 202 => Ok(()),
                Ok(answer) if matches!(answer.status().as_u16(), 409 | 503) => Err(format!("{}", answer.status())),
                Ok(answer) => panic!("{}: {}", answer.status(), answer.text().await.unwrap_or_default()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        self.written += size;
        for (n, id) in ids.iter().enumerate() {
            self.last_refused.remove(id);
            if is_delete {
                self.oracle.delete(id);
            } else if documents[n]["title"].is_string() {
                self.oracle.upsert(&documents[n]);
            } else {
                self.refused.insert((id.clone(), documents[n]["title"].to_string()));
                self.last_refused.insert(id.clone(), documents[n]["title"].to_string());
            }
        }
    }

    fn document(&mut self, id: &str, n: usize) -> Value {
        let written = self.written + n;
        match self.random.random_bool(0.01) {
            true => json!({ "id": id, "title": written }),
            false => json!({ "id": id, "title": format!("write {written} of {id}") }),
        }
    }

    /// Waits until everything is settled; then the collection must be what the oracle says, the dead letters what was refused, and each
    /// write must have been counted once.
    pub async fn holds(&self, setting: &Setting, tenant: &Tenant, pool: &PgPool) {
        self.settles(setting, tenant, pool).await;
        let (used, total, ended): (i64, i64, i64) = sqlx::query_as(
            "select (select sum(used)::bigint from tidewell.usage), sum(total)::bigint, sum(succeeded + dead + superseded)::bigint
             from tidewell.jobs",
        )
        .fetch_one(pool)
        .await
        .expect("counts");
        assert_eq!((used, ended), (self.written as i64, self.written as i64), "of {total} rows");
    }

    /// Waits until everything is settled; then the collection must be what the oracle says, and the dead letters what was refused.
    pub async fn settles(&self, setting: &Setting, tenant: &Tenant, pool: &PgPool) {
        eventually(Duration::from_secs(180), || unsettled(pool)).await;
        self.oracle.equals(setting, tenant.alias()).await;
        let dead: Vec<(String, String)> = sqlx::query_as(
            "select document_id, (body::jsonb -> 'title')::text from tidewell.dead_letters where error_code = 'document_refused'",
        )
        .fetch_all(pool)
        .await
        .expect("dead letters");
        let (others,): (i64,) =
            sqlx::query_as("select count(*) from tidewell.dead_letters where error_code <> 'document_refused'")
                .fetch_one(pool)
                .await
                .expect("a count");
        assert_eq!(others, 0, "only what Typesense refuses is dead");
        let dead: BTreeSet<_> = dead.into_iter().collect();
        // A refused write that a newer one overtook before it was sent was never put to Typesense.
        assert!(dead.is_subset(&self.refused), "dead without being bad: {:?}", dead.difference(&self.refused).take(5));
        let missing: Vec<_> =
            self.last_refused.iter().filter(|(id, title)| !dead.contains(&((*id).clone(), (*title).clone()))).collect();
        assert!(missing.is_empty(), "refused, and not dead: {missing:?}");
    }
}
