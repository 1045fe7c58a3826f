//! A writer that writes as Typesense's own clients do. These requests take no key: one without an answer is sent again, does the same
//! again, and may cost twice.

use std::sync::Arc;

use anyhow::ensure;
use rand::{RngExt, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::breathe;
use crate::{
    api::{Answer, Call},
    oracle::Oracle,
    site::Tenant,
};

const IDS: u32 = 120;

struct Writer {
    tenant: Arc<Tenant>,
    random: StdRng,
    oracle: Oracle,
    requests: u32,
}

pub(crate) async fn write(tenant: Arc<Tenant>, random: StdRng, stop: CancellationToken) -> anyhow::Result<Oracle> {
    let mut writer = Writer { tenant, random, oracle: Oracle::default(), requests: 0 };
    while !stop.is_cancelled() {
        let id = writer.id();
        let is_there = writer.oracle.documents.get(&id).is_some_and(Option::is_some);
        match writer.random.random_range(0..10) {
            0..2 if is_there => writer.patch(&id).await?,
            2..4 if is_there => writer.delete(&id).await?,
            4..7 => writer.import().await?,
            _ => writer.upsert(&id).await?,
        }
        breathe(&mut writer.random, &stop, 30..120).await;
    }
    Ok(writer.oracle)
}

impl Writer {
    fn path(&self, rest: &str) -> String {
        format!("/collections/{}/documents{rest}", self.tenant.name)
    }

    fn id(&mut self) -> String {
        format!("c-{}", self.random.random_range(0..IDS))
    }

    fn document(&self, id: &str, n: u32) -> Value {
        json!({ "id": id, "title": format!("{id} of {}.{n}", self.requests), "year": n })
    }

    /// Sends a request of so many rows until it is answered.
    async fn send(&mut self, call: Call<'_>, expected: &[u16], rows: usize) -> anyhow::Result<Answer> {
        self.requests += 1;
        let answer = self.tenant.api.call(&mut self.random, call, expected).await?;
        self.oracle.perhaps_accepted += answer.unanswered * rows as u64;
        if answer.status != 404 {
            self.oracle.accepted += rows as u64;
        }
        Ok(answer)
    }

    async fn upsert(&mut self, id: &str) -> anyhow::Result<()> {
        let document = self.document(id, 0);
        let path = self.path("?action=upsert");
        self.send(Call::json(Method::POST, &path, &document), &[201], 1).await?;
        self.oracle.upsert(document);
        Ok(())
    }

    async fn patch(&mut self, id: &str) -> anyhow::Result<()> {
        let year = self.random.random_range(0..100);
        let path = self.path(&format!("/{id}"));
        self.send(Call::json(Method::PATCH, &path, &json!({ "year": year })), &[200], 1).await?;
        if let Some(Some(document)) = self.oracle.documents.get_mut(id) {
            document["year"] = json!(year);
        }
        Ok(())
    }

    async fn delete(&mut self, id: &str) -> anyhow::Result<()> {
        let path = self.path(&format!("/{id}"));
        let call = Call { method: Method::DELETE, path: &path, body: None, idempotency_key: None };
        let answer = self.send(call, &[200, 404], 1).await?;
        // Not there: a request before this one has deleted it, whose answer was lost.
        ensure!(answer.status == 200 || answer.unanswered > 0, "a document that was acknowledged is not there: {id}");
        self.oracle.delete(id);
        Ok(())
    }

    /// Each line has a result of its own; those that could not be made durable are sent again.
    async fn import(&mut self) -> anyhow::Result<()> {
        let count = self.random.random_range(1..30);
        let mut documents: Vec<Value> = Vec::new();
        for n in 0..count {
            let id = self.id();
            documents.push(self.document(&id, n));
        }
        let path = self.path("/import?action=upsert");
        let lines = documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        loop {
            let body = Some(("text/plain", lines.clone()));
            let call = Call { method: Method::POST, path: &path, body, idempotency_key: None };
            self.requests += 1;
            let answer = self.tenant.api.call(&mut self.random, call, &[200]).await?;
            self.oracle.perhaps_accepted += answer.unanswered * documents.len() as u64;
            let taken = answer.text.lines().filter(|line| line.contains(r#""success":true"#)).count();
            self.oracle.accepted += taken as u64;
            if taken == documents.len() {
                break;
            }
        }
        documents.into_iter().for_each(|document| self.oracle.upsert(document));
        Ok(())
    }
}
