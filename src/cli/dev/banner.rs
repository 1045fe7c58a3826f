//! What `dev` prints once everything is ready: where things are, the keys, and lines to paste.

use serde_json::json;

use tidewell::db::sync::job::Job;

use super::{super::Session, Demo, FOLDER, demo, files::DevJson};

pub(super) fn print(session: &Session, place: &DevJson, demo: Option<&Demo>) -> anyhow::Result<()> {
    let mut view = serde_json::to_value(place)?;
    if let Some(Demo { keys, sync }) = demo {
        view["searchKey"] = json!(keys.search);
        view["connectorKey"] = json!(keys.connector);
        view["index"] = json!(demo::INDEX);
        view["syncJob"] = json!(sync.as_ref().map(|job| &job.spec.name));
    }
    session.show(&view, || {
        let try_it = match demo {
            Some(Demo { keys, sync: Some(job) }) => {
                format!("{}\n\n{}", with_demo(&place.api_url, keys), with_sync(place, job))
            }
            Some(Demo { keys, sync: None }) => with_demo(&place.api_url, keys),
            None => without_demo(&place.api_url, &place.operator_key),
        };
        let about = about(place, demo.map(|demo| &demo.keys));
        format!("{about}\n\n{try_it}\n\nCtrl-C stops everything, servers included.")
    })
}

fn about(place: &DevJson, keys: Option<&demo::Keys>) -> String {
    let mut rows = vec![("operator key", place.operator_key.as_str())];
    if let Some(keys) = keys {
        rows.extend([("search key", keys.search.as_str()), ("connector key", keys.connector.as_str())]);
    }
    rows.extend([("PostgreSQL", place.database_url.as_str()), ("Typesense", place.typesense_url.as_str())]);
    let rows: Vec<String> = rows.into_iter().map(|(name, value)| format!("  {name:13}  {value}")).collect();
    let (url, rows) = (&place.api_url, rows.join("\n"));
    format!("\nTidewell is ready: {url}, its console: {url}/console\n\n{rows}\n  (all of it in {FOLDER}/dev.json)")
}

fn with_demo(api: &str, keys: &demo::Keys) -> String {
    let (search, connector, index) = (&keys.search, &keys.connector, demo::INDEX);
    format!(
        r#"Search the demo's products:

curl -s {api}/v1/indexes/{index}/search -H 'Authorization: Bearer {search}' \
  -H 'Content-Type: application/json' -d '{{"q":"rain jacket","filterBy":"inStock:true","perPage":3}}'; echo

Write two of your own, wait until they are searchable, and find one:

JOB=$(curl -s {api}/v1/indexes/{index}/documents:batch -H 'Authorization: Bearer {connector}' \
  -H 'Content-Type: application/json' -d '{{"documents":[
    {{"id":"my-1","name":"Paper Lantern","description":"Lights a garden.","brand":"Mine","category":"Home","price":9.5,"rating":4.5,"inStock":true,"popularity":1}},
    {{"id":"my-2","name":"Paper Boat","description":"Sails a puddle.","brand":"Mine","category":"Toys","price":3,"rating":5,"inStock":true,"popularity":2}}]}}' \
  | grep -o '"jobId":"[^"]*"' | cut -d'"' -f4); echo "$JOB"

curl -s "{api}/v1/jobs/$JOB?wait=10" -H 'Authorization: Bearer {connector}'; echo

curl -s {api}/v1/indexes/{index}/search -H 'Authorization: Bearer {search}' \
  -H 'Content-Type: application/json' -d '{{"q":"paper lantern"}}'; echo"#
    )
}

fn with_sync(DevJson { api_url, operator_key, .. }: &DevJson, job: &Job) -> String {
    let (name, spec) = (&job.spec.name, &job.spec);
    let mut search = json!({
        "source_client_name": spec.source_client_name, "source_table_name": spec.source_table_name, "q": "editor",
    });
    if spec.source_schema_name != "public" {
        search["source_schema_name"] = json!(spec.source_schema_name);
    }
    format!(
        r#"The table {table} is kept in sync by the job {name}. See how fresh it is, and search it:

tidewell sync status

curl -s {api_url}/typesense/search -H 'X-Athena-Key: {operator_key}' \
  -H 'Content-Type: application/json' -d '{search}'; echo"#,
        table = spec.source_table_name,
    )
}

fn without_demo(api: &str, operator_key: &str) -> String {
    format!(
        r#"Make an organization:

curl -s {api}/v1/organizations -H 'X-Athena-Key: {operator_key}' \
  -H 'Content-Type: application/json' -d '{{"slug":"acme","name":"Acme","plan":"free"}}'; echo"#
    )
}
