//! Collections of indexes against what their writers know.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{Check, Violation, held, some};
use crate::{
    oracle::Oracle,
    site::{Site, Tenant},
    workload::Written,
};

/// Compares each index with its writers' oracles, document by document. `when` is told with what is wrong.
pub(crate) async fn are_right(
    site: &Site,
    [books, shelf, compat, _]: &[Arc<Tenant>; 4],
    written: &Written,
    when: &str,
) -> anyhow::Result<Vec<Violation>> {
    let writers: Vec<&Oracle> = written.books.iter().collect();
    let mut violations = compare(site, books, &writers, when).await?;
    violations.extend(compare(site, shelf, &[&written.shelf], when).await?);
    violations.extend(compare(site, compat, &[&written.compat], when).await?);
    Ok(violations)
}

async fn compare(site: &Site, tenant: &Tenant, writers: &[&Oracle], when: &str) -> anyhow::Result<Vec<Violation>> {
    let live = "select collection from tidewell.index_versions where state = 'live'
                and index_id = (select id from tidewell.indexes where alias = $1)";
    let live: String = sqlx::query_scalar(live).bind(&tenant.alias).fetch_one(&site.pool).await?;
    let mut held = held(site, &live).await?;
    // What Tidewell adds.
    for document in held.values_mut().filter_map(Value::as_object_mut) {
        document.remove("tenantId");
        document.remove("_tidewell_version");
    }
    let (mut lost, mut stale, mut revived, mut expected) = (vec![], vec![], vec![], BTreeMap::new());
    for (id, document) in writers.iter().flat_map(|writer| &writer.documents) {
        expected.insert(id, document);
        match (document, held.get(id)) {
            (Some(_), None) => lost.push(id),
            (Some(document), Some(held)) if document != held => stale.push((document, held)),
            (None, Some(held)) => revived.push(held),
            _ => {}
        }
    }
    let extra: Vec<&String> = held.keys().filter(|id| !expected.contains_key(id)).collect();
    let of = |what: &str| format!("documents of {} are {what}{when}", tenant.name);
    let violations = [
        some(Check::NothingIsLost, &of("lost"), &lost),
        some(Check::NothingIsStale, &of("stale"), &stale),
        some(Check::DeletedStaysDeleted, &of("revived"), &revived),
        some(Check::NothingIsExtra, &of("nobody's"), &extra),
    ];
    Ok(violations.into_iter().flatten().collect())
}
