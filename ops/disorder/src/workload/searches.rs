//! Searches, which cost units that the front ends take ahead.

use std::sync::Arc;

use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::breathe;
use crate::{api::Call, site::Tenant};

/// Documents that are there to be found.
const DOCUMENTS: usize = 20;

/// What must have been charged.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    /// Documents that were written first.
    pub(crate) written: u64,
    /// Searches that were answered.
    pub(crate) answered: u64,
    /// Searches of which it is not known whether they were charged.
    pub(crate) perhaps: u64,
}

pub(crate) async fn search(
    tenant: Arc<Tenant>,
    mut random: StdRng,
    stop: CancellationToken,
) -> anyhow::Result<Searched> {
    let documents: Vec<_> =
        (0..DOCUMENTS).map(|n| json!({ "id": n.to_string(), "title": format!("book {n}") })).collect();
    let path = format!("/v1/indexes/{}/documents:batch", tenant.name);
    let body = json!({ "documents": documents });
    let call = Call { idempotency_key: Some("first"), ..Call::json(Method::POST, &path, &body) };
    tenant.api.call(&mut random, call, &[202]).await?;
    let mut searched = Searched { written: DOCUMENTS as u64, ..Searched::default() };
    let path = format!("/v1/indexes/{}/search", tenant.name);
    while !stop.is_cancelled() {
        match tenant.api.once(&mut random, &Call::json(Method::POST, &path, &json!({ "q": "book" }))).await {
            Ok((200, _)) => searched.answered += 1,
            Err(error) if error.is_connect() => {}
            _ => searched.perhaps += 1,
        }
        // Slowly: then no reservation is larger than the first.
        breathe(&mut random, &stop, 250..400).await;
    }
    Ok(searched)
}
