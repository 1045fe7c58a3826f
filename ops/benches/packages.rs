//! packages: the list of Debian's packages, written through `serve` and `work` and then searched.

use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use tidewell::dev::debian::{self, Package};

use super::{
    accept::fill,
    report::Row,
    stack::Stack,
    tenant::{Index, Site, Tenant},
};

const BATCH: usize = 500;

pub(crate) async fn measure(stack: &Stack) -> anyhow::Result<Vec<Row>> {
    let Some(list) = debian::list().await else {
        eprintln!("  there is no list of packages here: on Debian, `apt-get update` gets it");
        return Ok(Vec::new());
    };
    let packages: Vec<String> = list.packages().map(document).collect();
    let site = Site::open(stack, "packages").await?;
    let (serve, tenant) = site.serve().await?;
    let mut work = site.work()?;
    let index = tenant.index("packages", &fields()).await?;
    let began = Instant::now();
    fill(&tenant, &index, &packages, BATCH).await?;
    let accepted = began.elapsed().as_secs_f64();
    site.wait_settled(&index, packages.len(), &mut work).await?;
    let rate = packages.len() as f64 / began.elapsed().as_secs_f64();
    let note = format!("{} packages; the last was accepted after {accepted:.1} s", packages.len());
    let mut rows = vec![Row::plain("packages", rate, "documents/s").note(note)];
    for (n, search) in searches().iter().enumerate() {
        rows.push(run(&tenant, &index, n + 1, search).await?);
    }
    work.stop().await?;
    serve.stop().await?;
    Ok(rows)
}

fn fields() -> Vec<Value> {
    vec![
        json!({ "name": "name", "type": "string" }),
        json!({ "name": "description", "type": "string" }),
        json!({ "name": "tags", "type": "string[]", "facet": true, "optional": true }),
        json!({ "name": "depends", "type": "string[]", "optional": true }),
        json!({ "name": "section", "type": "string", "facet": true, "optional": true }),
        json!({ "name": "maintainer", "type": "string", "facet": true, "optional": true }),
        json!({ "name": "installedKb", "type": "int64", "optional": true }),
    ]
}

fn document(package: Package<'_>) -> String {
    let document = json!({
        "id": package.name, "name": package.name,
        "version": package.field("Version"),
        "description": package.field("Description").unwrap_or_default(),
        "tags": package.items("Tag").collect::<Vec<_>>(),
        "depends": package.items("Depends").collect::<Vec<_>>(),
        "section": package.field("Section").unwrap_or("none"),
        "maintainer": package.field("Maintainer").unwrap_or("none"),
        "homepage": package.field("Homepage"),
        "installedKb": package.field("Installed-Size").and_then(|size| size.parse::<i64>().ok()).unwrap_or_default(),
    });
    document.to_string()
}

fn searches() -> [Value; 5] {
    [
        json!({ "q": "web server", "queryBy": "name,description" }),
        json!({ "q": "postgresq", "queryBy": "name,description", "facetBy": "section" }),
        json!({ "q": "strategy gmae", "queryBy": "description", "filterBy": "section:=games" }),
        json!({ "q": "libssl3", "queryBy": "depends", "facetBy": "section,maintainer" }),
        json!({ "q": "*", "sortBy": "installedKb:desc", "filterBy": "tags:=implemented-in::python" }),
    ]
}

/// The fastest of a few tries, and what was found.
async fn run(tenant: &Tenant, index: &Index, n: usize, search: &Value) -> anyhow::Result<Row> {
    let (path, body) = (index.path("search"), Bytes::from(search.to_string()));
    let (mut fastest, mut answer) = (f64::INFINITY, Bytes::new());
    for _ in 0..5 {
        let began = Instant::now();
        answer = tenant.api.search(&path, body.clone()).await?;
        fastest = fastest.min(began.elapsed().as_secs_f64() * 1000.0);
    }
    let found: Value = serde_json::from_slice(&answer)?;
    let hits = found["hits"].as_array().context("no hits")?;
    let first = hits.iter().take(3).filter_map(|hit| hit["document"]["name"].as_str()).collect::<Vec<_>>().join(", ");
    let note = format!("{search}: {} found: {first}", found["found"]);
    Ok(Row::plain(&format!("packages_search_{n}"), fastest, "ms").note(note))
}
