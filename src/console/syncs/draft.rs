//! A job as it is written down in a form: fields of the form, and what the API is sent of them.
//!
//! The form speaks of columns, the API of the fields that they become, which `field_config` may name otherwise.

use serde_json::{Map, Value, json};

use super::view::Job;
use crate::console::{
    api::Refusal,
    clients::outline::{Column, Outline},
    fields::Fields,
};

/// Lists of fields that are made of checked columns: as the API and the form name them, and where the form has names of no column.
pub(super) const LISTS: [(&str, &str); 3] =
    [("query_by_fields", "query_by_more"), ("facet_by_fields", "facet_by_more"), ("sort_by_fields", "sort_by_more")];
/// The order that columns were in before they were checked, which a form does not keep.
pub(super) const ORDERS: [(&str, &str); 2] = [("query_by_fields", "query_order"), ("document_id_column", "id_order")];

const NUMBERS: [&str; 4] = ["batch_size", "batch_delay_ms", "sync_interval_minutes", "stale_after_minutes"];

/// A first proposal for a table.
pub(super) fn proposed(table: (&str, &str, &str), outline: &Outline) -> Fields {
    let (_, schema, name) = table;
    let plain = |text: &str| text.replace(|c: char| !c.is_alphanumeric() && !"_-.".contains(c), "_");
    let collection = if schema == "public" { plain(name) } else { format!("{}_{}", plain(schema), plain(name)) };
    let id = outline.unique_keys.first().cloned().unwrap_or_default();
    let mut pairs = vec![
        ("name", name.to_owned()),
        ("collection_name", collection),
        ("sync_interval_minutes", "15".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("stale_after_minutes", "120".to_owned()),
        ("batch_size", "1000".to_owned()),
        ("batch_delay_ms", "0".to_owned()),
        ("failed_share_limit", "0.5".to_owned()),
        ("id_order", json!(id).to_string()),
    ];
    let selected = outline.columns.iter().filter(|column| column.field_type.is_some());
    pairs.extend(selected.map(|column| ("selected_columns", column.name.clone())));
    pairs.extend(id.into_iter().map(|column| ("document_id_column", column)));
    owned(pairs)
}

/// A job that there is.
pub(super) fn of_job(job: &Job, columns: &[Column]) -> Fields {
    let text = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let id: Vec<String> = job.document_id_column.split(',').map(|name| name.trim().to_owned()).collect();
    let mut pairs = vec![
        ("name", job.name.clone()),
        ("collection_name", job.collection_name.clone()),
        ("typesense_profile_id", job.typesense_profile_id.clone()),
        ("sync_strategy", job.sync_strategy.clone()),
        ("mode", job.mode.clone()),
        ("cursor_column", job.cursor_column.clone().unwrap_or_default()),
        ("sync_interval_minutes", text(job.sync_interval_minutes)),
        ("cron", job.cron.clone().unwrap_or_default()),
        ("timezone", job.timezone.clone()),
        ("stale_after_minutes", job.stale_after_minutes.to_string()),
        ("batch_size", job.batch_size.to_string()),
        ("batch_delay_ms", job.batch_delay_ms.to_string()),
        ("failed_share_limit", job.failed_share_limit.to_string()),
        ("id_order", json!(id).to_string()),
    ];
    if !job.field_config.is_empty() {
        let config = serde_json::to_string_pretty(&job.field_config).unwrap_or_default();
        pairs.push(("field_config", config));
    }
    if job.selected_columns.is_empty() {
        pairs.push(("all_columns", "yes".to_owned()));
        pairs.extend(columns.iter().map(|column| ("selected_columns", column.name.clone())));
    }
    pairs.extend(job.selected_columns.iter().map(|column| ("selected_columns", column.clone())));
    pairs.extend(id.into_iter().map(|column| ("document_id_column", column)));
    let field_of = |column: &Column| name_of(&job.field_config, &column.name).to_owned();
    let column_of =
        |field: &String| columns.iter().find(|column| field_of(column) == *field).map(|column| &column.name);
    let mut list = |name: &'static str, more: &'static str, fields: &[String]| {
        let others: Vec<&str> = fields.iter().filter(|field| column_of(field).is_none()).map(String::as_str).collect();
        pairs.push((more, others.join(", ")));
        let known: Vec<String> = fields.iter().filter_map(|field| column_of(field).cloned()).collect();
        pairs.extend(known.iter().map(|column| (name, column.clone())));
        json!(known).to_string()
    };
    let query_order = list("query_by_fields", "query_by_more", &job.query_by_fields);
    list("facet_by_fields", "facet_by_more", &job.facet_by_fields);
    list("sort_by_fields", "sort_by_more", &job.sort_by_fields);
    if let Some(embedding) = &job.embedding {
        list("embedding", "embedding_more", &embedding.from);
        pairs.push(("embedding_model", embedding.model.clone()));
        pairs.push(("document_prefix", embedding.prefixes.document.clone()));
        pairs.push(("query_prefix", embedding.prefixes.query.clone()));
    }
    pairs.push(("query_order", query_order));
    let sorted_by = job.default_sort_field.as_ref().map(|field| column_of(field).unwrap_or(field).clone());
    pairs.push(("default_sort_field", sorted_by.unwrap_or_default()));
    owned(pairs)
}

fn owned(pairs: Vec<(&str, String)>) -> Fields {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the API is sent.
pub(super) fn body((client, schema, table): (&str, &str, &str), fields: &Fields) -> Result<Value, Refusal> {
    let config: Map<String, Value> = match fields.given("field_config") {
        None => Map::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            Refusal::of_field(
                "field_config",
                format!("an object of JSON, such as {{\"added\": {{\"type\": \"string\"}}}}: {error}"),
            )
        })?,
    };
    if fields.text("typesense_profile_id").is_empty() {
        return Err(Refusal::of_field("typesense_profile_id", "choose one; the first has to be added under Backends"));
    }
    let field_of = |column: &str| name_of(&config, column).to_owned();
    let named = |column: &str| Some(column).filter(|column| !column.is_empty()).map(field_of);
    let mut body = json!({
        "name": fields.text("name"),
        "source_client_name": client,
        "source_schema_name": schema,
        "source_table_name": table,
        "typesense_profile_id": fields.text("typesense_profile_id"),
        "collection_name": fields.text("collection_name"),
        "document_id_column": ordered(fields, "document_id_column"),
        "selected_columns": if fields.is_checked("all_columns") { vec![] } else { fields.all("selected_columns") },
        "default_sort_field": named(fields.text("default_sort_field")),
        "cursor_column": fields.json_text("cursor_column"),
        "cron": fields.json_text("cron"),
        "timezone": fields.given("timezone").unwrap_or("UTC"),
        "sync_strategy": fields.given("sync_strategy").unwrap_or("upsert"),
        "mode": fields.given("mode").unwrap_or("scheduled"),
        "embedding": embedding(fields, field_of),
        "sync_interval_minutes": null,
    });
    for (list, more) in LISTS {
        let names = ordered(fields, list).into_iter().map(field_of).chain(listed(fields.text(more)));
        body[list] = names.collect();
    }
    for number in NUMBERS {
        if let Some(value) = fields.number(number)? {
            let value = i32::try_from(value).map_err(|_| Refusal::of_field(number, "a smaller number"))?;
            body[number] = json!(value);
        }
    }
    if let Some(text) = fields.given("failed_share_limit") {
        let share: f64 = text.parse().map_err(|_| Refusal::of_field("failed_share_limit", "a number from 0 to 1"))?;
        body["failed_share_limit"] = json!(share);
    }
    body["field_config"] = Value::Object(config);
    Ok(body)
}

/// What a column is called in a document.
fn name_of<'a>(config: &'a Map<String, Value>, column: &'a str) -> &'a str {
    config.get(column).and_then(|config| config.get("name")).and_then(Value::as_str).unwrap_or(column)
}

fn embedding(fields: &Fields, field_of: impl Fn(&str) -> String) -> Value {
    let checked = fields.all("embedding").into_iter().map(field_of);
    let from: Vec<String> = checked.chain(listed(fields.text("embedding_more"))).collect();
    let model = fields.text("embedding_model");
    if from.is_empty() && model.is_empty() {
        return Value::Null;
    }
    let prefixes = json!({ "document": fields.raw("document_prefix"), "query": fields.raw("query_prefix") });
    json!({ "from": from, "model": model, "prefixes": prefixes })
}

/// Checked columns, those in their order of before first.
fn ordered<'a>(fields: &'a Fields, name: &str) -> Vec<&'a str> {
    let order = ORDERS.iter().find(|(list, _)| *list == name).map(|(_, order)| fields.text(order));
    let order: Vec<String> = order.and_then(|order| serde_json::from_str(order).ok()).unwrap_or_default();
    let mut columns = fields.all(name);
    columns.sort_by_key(|column| order.iter().position(|one| one == column).unwrap_or(order.len()));
    columns
}

/// Names with commas between them.
fn listed(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pairs: &[(&str, &str)]) -> Fields {
        let always = [("typesense_profile_id", "b"), ("name", "books")];
        let all = always.iter().chain(pairs);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn columns_become_fields_by_the_names_that_they_are_given() {
        let fields = sent(&[
            ("field_config", r#"{"title": {"name": "label"}}"#),
            ("query_by_fields", "author"),
            ("query_by_fields", "title"),
            ("query_order", r#"["title"]"#),
            ("query_by_more", "meta.note, "),
            ("default_sort_field", "title"),
        ]);
        let body = body(("shop", "public", "books"), &fields).expect("a body");
        assert_eq!(body["query_by_fields"], json!(["label", "author", "meta.note"]));
        assert_eq!(body["default_sort_field"], "label");
        assert_eq!(body["embedding"], Value::Null);
    }

    #[test]
    fn what_is_no_number_is_told_beside_its_field() {
        let refusal = body(("a", "b", "c"), &sent(&[("batch_size", "many")])).expect_err("a fault");
        assert!(refusal.fault("batch_size").is_some());
    }
}
