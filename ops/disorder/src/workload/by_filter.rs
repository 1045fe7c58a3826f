//! A writer that is alone in its index, and deletes by filter: what a filter matches is what its own writes have left.

use std::sync::Arc;

use rand::{RngExt, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::breathe;
use crate::{api::Call, oracle::Oracle, site::Tenant};

const IDS: u32 = 300;

pub(crate) async fn write(tenant: Arc<Tenant>, mut random: StdRng, stop: CancellationToken) -> anyhow::Result<Oracle> {
    let mut oracle = Oracle::default();
    for request in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let key = format!("by-filter-{request}");
        let idempotency_key = Some(key.as_str());
        let path = format!("/v1/indexes/{}/documents", tenant.name);
        if random.random_bool(0.15) {
            let year = random.random_range(0..30);
            let (filter, matches): (_, fn(i64, i64) -> bool) = match random.random_bool(0.5) {
                true => (format!("year:<{year}"), |found, year| found < year),
                false => (format!("year:={year}"), |found, year| found == year),
            };
            let path = format!("{path}?filterBy={}", filter.replace('<', "%3C").replace('=', "%3D"));
            let call = Call { method: Method::DELETE, path: &path, body: None, idempotency_key };
            tenant.api.call(&mut random, call, &[202]).await?;
            // Its job counts the documents that it deletes, which is known later.
            oracle.accepted += 1;
            for document in oracle.documents.values_mut() {
                if document.as_ref().and_then(|it| it["year"].as_i64()).is_some_and(|found| matches(found, year)) {
                    *document = None;
                }
            }
        } else {
            let document = |n: u32, random: &mut StdRng| {
                let (id, year) = (random.random_range(0..IDS), random.random_range(0..100));
                json!({ "id": format!("s-{id}"), "title": format!("{id} of {request}.{n}"), "year": year })
            };
            let size = random.random_range(1..25);
            let documents: Vec<Value> = (0..size).map(|n| document(n, &mut random)).collect();
            let path = format!("{path}:batch");
            let body = json!({ "documents": documents });
            let call = Call { idempotency_key, ..Call::json(Method::POST, &path, &body) };
            oracle.accept(&tenant.api.call(&mut random, call, &[202]).await?.json(), documents.len());
            documents.into_iter().for_each(|document| oracle.upsert(document));
        }
        breathe(&mut random, &stop, 10..90).await;
    }
    Ok(oracle)
}
