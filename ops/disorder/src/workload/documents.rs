//! A writer of documents in every form that `/v1` takes, among them some that Typesense refuses; and its dead letters.

use std::sync::Arc;

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::breathe;
use crate::{
    api::{Answer, Call},
    oracle::Oracle,
    site::Tenant,
};

const IDS: u32 = 250;

struct Writer {
    tenant: Arc<Tenant>,
    number: usize,
    random: StdRng,
    oracle: Oracle,
    requests: u64,
}

pub(crate) async fn write(
    tenant: Arc<Tenant>,
    number: usize,
    random: StdRng,
    stop: CancellationToken,
) -> anyhow::Result<Oracle> {
    let mut writer = Writer { tenant, number, random, oracle: Oracle::default(), requests: 0 };
    while !stop.is_cancelled() {
        match writer.random.random_range(0..20) {
            0..8 => writer.batch(false).await?,
            8..12 => writer.batch(true).await?,
            12..14 => writer.single().await?,
            14..16 => writer.delete_batch().await?,
            16..18 => writer.delete_single().await?,
            18 => writer.mend_letter().await?,
            _ => writer.retry_letters().await?,
        }
        breathe(&mut writer.random, &stop, 5..60).await;
    }
    Ok(writer.oracle)
}

impl Writer {
    fn path(&self, rest: &str) -> String {
        format!("/v1/indexes/{}/documents{rest}", self.tenant.name)
    }

    fn id(&mut self) -> String {
        format!("w{}-{}", self.number, self.random.random_range(0..IDS))
    }

    fn document(&mut self, n: usize) -> Value {
        let (id, year) = (self.id(), self.random.random_range(0..100));
        match self.random.random_bool(0.02) {
            true => json!({ "id": id, "title": self.requests * 1000 + n as u64 }),
            false => json!({ "id": id, "title": format!("{id} of {}.{n}", self.requests), "year": year }),
        }
    }

    /// Sends a write with a key of its own until it is acknowledged.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> anyhow::Result<Answer> {
        self.requests += 1;
        let key = format!("writer-{}-{}", self.number, self.requests);
        let call = Call { method, path, body, idempotency_key: Some(&key) };
        self.tenant.api.call(&mut self.random, call, &[202]).await
    }

    /// A batch in which ids may come twice; now and then with something that is no document.
    async fn batch(&mut self, lines: bool) -> anyhow::Result<()> {
        let size = *[1, 8, 40].choose(&mut self.random).unwrap_or(&1);
        let documents: Vec<Value> = (0..size).map(|n| self.document(n)).collect();
        let mut sent = documents.clone();
        if self.random.random_bool(0.1) {
            sent.push(json!({ "id": 7 }));
        }
        let body = match lines {
            true => ("application/x-ndjson", sent.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")),
            false => ("application/json", json!({ "documents": sent }).to_string()),
        };
        let answer = self.send(Method::POST, &self.path(":batch"), Some(body)).await?;
        self.oracle.accept(&answer.json(), documents.len());
        documents.into_iter().for_each(|document| self.oracle.upsert(document));
        Ok(())
    }

    async fn single(&mut self) -> anyhow::Result<()> {
        let document = self.document(0);
        let body = ("application/json", document.to_string());
        let answer = self.send(Method::PUT, &self.path(""), Some(body)).await?;
        self.oracle.accept(&answer.json(), 1);
        self.oracle.upsert(document);
        Ok(())
    }

    async fn delete_batch(&mut self) -> anyhow::Result<()> {
        let ids: Vec<String> = (0..self.random.random_range(1..12)).map(|_| self.id()).collect();
        let body = ("application/json", json!({ "ids": ids }).to_string());
        let answer = self.send(Method::POST, &self.path(":batchDelete"), Some(body)).await?;
        self.oracle.accept(&answer.json(), ids.len());
        ids.iter().for_each(|id| self.oracle.delete(id));
        Ok(())
    }

    async fn delete_single(&mut self) -> anyhow::Result<()> {
        let id = self.id();
        let answer = self.send(Method::DELETE, &self.path(&format!("/{id}")), None).await?;
        self.oracle.accept(&answer.json(), 1);
        self.oracle.delete(&id);
        Ok(())
    }

    /// Dead letters of this writer.
    async fn letters(&mut self) -> anyhow::Result<Vec<Value>> {
        let path = format!("/v1/dead-letters?index={}&limit=100", self.tenant.name);
        let letters = self.tenant.api.call(&mut self.random, Call::get(&path), &[200]).await?.json();
        let own = format!("w{}-", self.number);
        let is_own = |letter: &&Value| letter["documentId"].as_str().is_some_and(|id| id.starts_with(&own));
        Ok(letters["items"].as_array().into_iter().flatten().filter(is_own).cloned().collect())
    }

    /// Puts a good document in the place of one that was refused last.
    async fn mend_letter(&mut self) -> anyhow::Result<()> {
        let letters = self.letters().await?;
        let oracle = &self.oracle;
        let is_last = |letter: &&Value| {
            let id = letter["documentId"].as_str().unwrap_or_default();
            oracle.last_refused.get(id).is_some_and(|title| **title == *letter["document"]["title"].to_string())
        };
        let Some(letter) = letters.iter().find(is_last) else { return Ok(()) };
        let document = json!({ "id": letter["documentId"], "title": format!("mended after {}", self.requests) });
        let path = format!("/v1/dead-letters/{}", letter["id"].as_str().unwrap_or_default());
        let call = Call::json(Method::PUT, &path, &json!({ "document": document }));
        let answer = self.tenant.api.call(&mut self.random, call, &[200, 404]).await?;
        // Gone: by a request before this one, whose answer was lost.
        if answer.status == 200 || answer.unanswered > 0 {
            self.oracle.mend(document);
        }
        Ok(())
    }

    /// Sends some letters back: they die again, or a newer write has overtaken them.
    async fn retry_letters(&mut self) -> anyhow::Result<()> {
        let ids: Vec<Value> = self.letters().await?.iter().take(5).map(|letter| letter["id"].clone()).collect();
        if !ids.is_empty() {
            let call = Call::json(Method::POST, "/v1/dead-letters:retry", &json!({ "ids": ids }));
            self.tenant.api.call(&mut self.random, call, &[200]).await?;
        }
        Ok(())
    }
}
