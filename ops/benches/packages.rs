//! packages: the list of Debian's packages, written through `serve` and `work` and then searched.

use std::{collections::HashSet, time::Instant};

use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    accept::fill,
    report::Row,
    stack::Stack,
    tenant::{Index, Site, Tenant},
};

const BATCH: usize = 500;

pub(crate) async fn measure(stack: &Stack) -> anyhow::Result<Vec<Row>> {
    let Some(list) = list().await else {
        eprintln!("  there is no list of packages here: on Debian, `apt-get update` gets it");
        return Ok(Vec::new());
    };
    let mut names = HashSet::new();
    let packages: Vec<String> = list.split("\n\n").filter_map(|paragraph| package(paragraph, &mut names)).collect();
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

/// The paragraphs of all packages that apt knows.
async fn list() -> Option<String> {
    let output = Command::new("apt-cache").arg("dumpavail").output().await.ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned()).filter(|list| !list.is_empty())
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

/// A paragraph of the list as a document; a name that has been seen is another version of the same.
fn package<'a>(paragraph: &'a str, names: &mut HashSet<&'a str>) -> Option<String> {
    let field = |name: &str| -> Option<&'a str> {
        let start = match paragraph.strip_prefix(name) {
            Some(_) => 0,
            None => paragraph.find(&format!("\n{name}:"))? + 1,
        };
        let value = &paragraph[start + name.len() + 1..];
        // A line that begins with a space belongs to the field before it.
        let mut ends = value.match_indices('\n').filter(|(at, _)| !value[at + 1..].starts_with(' '));
        Some(value[..ends.next().map_or(value.len(), |(at, _)| at)].trim())
    };
    let items = |name: &str| -> Vec<&'a str> {
        field(name)
            .map(|list| list.split(',').map(str::trim).filter(|item| !item.is_empty()).collect())
            .unwrap_or_default()
    };
    let name = field("Package")?;
    if !names.insert(name) {
        return None;
    }
    let document = json!({
        "id": name, "name": name,
        "version": field("Version"),
        "description": field("Description").unwrap_or_default(),
        "tags": items("Tag"),
        "depends": items("Depends"),
        "section": field("Section").unwrap_or("none"),
        "maintainer": field("Maintainer").unwrap_or("none"),
        "homepage": field("Homepage"),
        "installedKb": field("Installed-Size").and_then(|size| size.parse::<i64>().ok()).unwrap_or_default(),
    });
    Some(document.to_string())
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
