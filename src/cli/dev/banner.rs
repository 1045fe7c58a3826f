//! What `dev` prints once everything is ready: where things are, the keys, and lines to paste.

use serde_json::json;

use super::{super::Session, FOLDER, demo, files::DevJson};

pub(super) fn print(session: &Session, place: &DevJson, keys: Option<&demo::Keys>) -> anyhow::Result<()> {
    let mut view = serde_json::to_value(place)?;
    if let Some(keys) = keys {
        view["searchKey"] = json!(keys.search);
        view["connectorKey"] = json!(keys.connector);
        view["index"] = json!(demo::INDEX);
    }
    session.show(&view, || {
        let try_it = match keys {
            Some(keys) => with_demo(&place.api_url, keys),
            None => without_demo(&place.api_url, &place.operator_key),
        };
        format!("{}\n\n{try_it}\n\nCtrl-C stops everything, servers included.", about(place, keys))
    })
}

fn about(place: &DevJson, keys: Option<&demo::Keys>) -> String {
    let mut rows = vec![("operator key", place.operator_key.as_str())];
    if let Some(keys) = keys {
        rows.extend([("search key", keys.search.as_str()), ("connector key", keys.connector.as_str())]);
    }
    rows.extend([("PostgreSQL", place.database_url.as_str()), ("Typesense", place.typesense_url.as_str())]);
    let rows: Vec<String> = rows.into_iter().map(|(name, value)| format!("  {name:13}  {value}")).collect();
    format!("\nTidewell is ready: {}\n\n{}\n  (all of it in {FOLDER}/dev.json)", place.api_url, rows.join("\n"))
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

fn without_demo(api: &str, operator_key: &str) -> String {
    format!(
        r#"Make an organization:

curl -s {api}/v1/organizations -H 'X-Athena-Key: {operator_key}' \
  -H 'Content-Type: application/json' -d '{{"slug":"acme","name":"Acme","plan":"free"}}'; echo"#
    )
}
