//! Reindexes and rollbacks, one after the other, of an index that is written to.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{RngExt, rngs::StdRng};
use reqwest::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::breathe;
use crate::{
    api::Call,
    site::{Tenant, fields},
};

/// What reindexes have cost, by job; where the answer was lost, it is not among them.
pub(crate) type Charged = BTreeMap<String, u64>;

pub(crate) async fn reindex(
    tenant: Arc<Tenant>,
    mut random: StdRng,
    stop: CancellationToken,
) -> anyhow::Result<Charged> {
    let mut charged = Charged::new();
    for round in 0.. {
        breathe(&mut random, &stop, 2000..5000).await;
        if stop.is_cancelled() {
            break;
        }
        if round % 3 == 2 {
            roll_back(&tenant, &mut random).await?;
        } else {
            rebuild(&tenant, &mut random, round, &mut charged).await?;
        }
    }
    Ok(charged)
}

/// Asks for a version with another field, filled anew. One that is under way, or was asked for by a request without an answer, will do.
pub(crate) async fn rebuild(
    tenant: &Tenant,
    random: &mut StdRng,
    round: u32,
    charged: &mut Charged,
) -> anyhow::Result<()> {
    let path = format!("/v1/indexes/{}:reindex", tenant.name);
    let body = json!({ "fields": fields(Some(&format!("added{round}"))), "rebuild": true });
    let asked = tenant.api.call(random, Call::json(Method::POST, &path, &body), &[202, 409]).await?.json();
    if let (Some(job), Some(units)) = (asked["jobId"].as_str(), asked["total"].as_u64()) {
        charged.insert(job.to_owned(), units);
    }
    wait(tenant, random, &asked["jobId"]).await
}

async fn roll_back(tenant: &Tenant, random: &mut StdRng) -> anyhow::Result<()> {
    let path = format!("/v1/indexes/{}:rollback", tenant.name);
    let asked = tenant.api.call(random, Call::json(Method::POST, &path, &json!({})), &[202, 409]).await?;
    wait(tenant, random, &asked.json()["jobId"]).await
}

async fn wait(tenant: &Tenant, random: &mut StdRng, job: &serde_json::Value) -> anyhow::Result<()> {
    let Some(job) = job.as_str() else { return Ok(()) };
    let path = format!("/v1/jobs/{job}");
    loop {
        let job = tenant.api.call(random, Call::get(&path), &[200]).await?.json();
        if !job["finishedAt"].is_null() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(100..300))).await;
    }
}
