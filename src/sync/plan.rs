//! From a job's wishes and the table as it is to how its rows become documents, or to what has to change first.

mod fields;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    domain::{
        embedding::{Embedding, Outage},
        fields::vector_field,
        sync_job::{Mode, Spec, Strategy},
    },
    embed::Fingerprint,
    replication::Target,
    source::{
        Column, Relation, RelationKind,
        statement::{KeyColumn, Selected, Statement},
    },
    typesense::NewCollection,
};

/// What is wrong with one field of a job's description, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Fault {
    pub field: String,
    pub message: String,
}

/// Faults in one line.
pub fn listed(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ")
}

/// How the rows of a table become documents of a collection.
#[derive(Clone, Debug)]
pub struct Plan {
    pub statement: Statement,
    /// The collection's, as Typesense takes them.
    pub fields: Vec<Value>,
    pub default_sorting_field: Option<String>,
    /// Of all that decides what a document looks like and where it goes: another mapping asks for a new collection.
    pub mapping: String,
    /// Of the vectors that documents have.
    pub fingerprint: Option<Fingerprint>,
    /// Whether the cursor column is of a type with a time zone; `None` where there is no such column.
    pub cursor_has_time_zone: Option<bool>,
    /// Whether the catalogue says that the key is unique and never null; if not, rows may have to be left out.
    pub key_is_sure: bool,
    pub estimated_rows: f32,
}

/// Collects faults by field.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(Fault { field: field.to_owned(), message: message.into() });
    }
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// Everything that has to change first, each with its field.
    pub fn make(spec: &Spec, relation: &Relation) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let selected = selected(spec, relation, &mut faults);
        let id = id_columns(spec, relation, &mut faults);
        let key = scan_key(spec, relation, &id, &mut faults);
        let cursor = cursor(spec, relation, &mut faults);
        let fields = fields::declared(spec, relation, &selected, &mut faults);
        fields::judge(spec, &fields, &mut faults);
        if let Some(embedding) = &spec.embedding {
            judge_embedding(embedding, &fields, &mut faults);
        }
        if spec.mode == Mode::Live {
            if !matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable) {
                faults.add("mode", "only tables can be followed live: a view has no log of its changes");
            }
            if spec.sync_strategy == Strategy::Full {
                faults.add("sync_strategy", "a live job is of the strategy upsert");
            }
        }
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        let (mapping, seed) = mapping(spec, &key, &id, &selected, &fields);
        Ok(Self {
            statement: Statement::new(
                (&relation.schema, &relation.name),
                key,
                id,
                !relation.kind.has_constraints(),
                cursor.map(|column| column.name.clone()),
                selected,
                seed,
            ),
            fields,
            default_sorting_field: spec.default_sort_field.clone(),
            mapping,
            fingerprint: None,
            cursor_has_time_zone: cursor.map(|column| column.base_type == "timestamptz"),
            key_is_sure: relation.kind.has_constraints(),
            estimated_rows: relation.estimated_rows,
        })
    }

    /// The collection that documents go into, of this name.
    pub fn collection<'a>(&'a self, name: &'a str) -> NewCollection<'a> {
        NewCollection {
            name,
            fields: self.fields.clone(),
            default_sorting_field: self.default_sorting_field.as_deref(),
            enable_nested_fields: true,
        }
    }

    /// The table as one that is followed, with a slot of this name.
    pub fn to_follow(&self, spec: &Spec, slot: String) -> Target {
        Target {
            schema: spec.source_schema_name.clone(),
            table: spec.source_table_name.clone(),
            key_columns: self.statement.id.iter().map(|column| column.name.clone()).collect(),
            name: slot,
        }
    }

    /// The plan for documents with vectors of this fingerprint: those of another can't stand beside them, and ask for a new collection.
    pub fn embedded(mut self, embedding: &Embedding, fingerprint: Fingerprint) -> Self {
        self.fields.push(vector_field(fingerprint.dimensions));
        self.mapping =
            hex::encode(Sha256::digest(json!([self.mapping, embedding, fingerprint]).to_string().as_bytes()));
        self.fingerprint = Some(fingerprint);
        self
    }

    /// The plan for a table and a collection that are there, and not elsewhere: what is known of others says nothing of these.
    pub fn placed(mut self, source: &str, backend: &str) -> Self {
        self.mapping = hex::encode(Sha256::digest(json!([self.mapping, source, backend]).to_string().as_bytes()));
        self
    }
}

fn judge_embedding(embedding: &Embedding, fields: &[Value], faults: &mut Faults) {
    for fault in embedding.faults(fields) {
        let place = fault.place.trim_start_matches("embedding.");
        faults.add("embedding", format!("{place}: {}", fault.message));
    }
    // A row that was written without a vector would count as done.
    if embedding.outage == Outage::Skip {
        faults.add("embedding", "outage: must be wait, for a sync waits for its model");
    }
}

/// The properties that field_config gives a column.
fn config<'a>(spec: &'a Spec, column: &str) -> Option<&'a Map<String, Value>> {
    spec.field_config.get(column).and_then(Value::as_object)
}

fn property<'a>(spec: &'a Spec, column: &str, name: &str) -> Option<&'a str> {
    config(spec, column)?.get(name)?.as_str()
}

/// The columns that become fields, each with its conversion.
fn selected(spec: &Spec, relation: &Relation, faults: &mut Faults) -> Vec<Selected> {
    let mut names: Vec<&str> = spec.selected_columns.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = relation.columns.iter().map(|column| column.name.as_str()).collect();
    }
    for (column, value) in &spec.field_config {
        let place = format!("field_config.{column}");
        if relation.column(column).is_none() {
            faults.add(&place, no_column(relation, column));
        } else if !names.contains(&column.as_str()) {
            faults.add(&place, "the column is not among selected_columns");
        }
        if !value.is_object() {
            faults.add(&place, "must be an object, such as {\"type\": \"string\"}");
        }
    }
    let id: Vec<&str> = spec.id_columns().collect();
    let mut found = Vec::new();
    for (n, name) in names.iter().enumerate() {
        if names[..n].contains(name) {
            faults.add("selected_columns", format!("{name} stands twice"));
            continue;
        }
        let Some(column) = relation.column(name) else {
            faults.add("selected_columns", no_column(relation, name));
            continue;
        };
        let field = property(spec, name, "name").unwrap_or(name);
        // A document's id is there anyway, as a text. Another column that is given its name is a fault, told with the others.
        if *name == "id" && field == "id" && id == ["id"] {
            continue;
        }
        let wanted = property(spec, name, "type");
        match column.conversion(wanted) {
            Ok(conversion) => found.push(Selected {
                field: field.to_owned(),
                column: (*name).to_owned(),
                expression: conversion.expression,
                wire: conversion.wire,
            }),
            Err(fault) => {
                let place =
                    if wanted.is_some() { format!("field_config.{name}.type") } else { "selected_columns".to_owned() };
                faults.add(&place, format!("the column {name}: {fault}"));
            }
        }
    }
    found
}

fn no_column(relation: &Relation, name: &str) -> String {
    let there: Vec<&str> = relation.columns.iter().map(|column| column.name.as_str()).collect();
    let (schema, table, there) = (&relation.schema, &relation.name, there.join(", "));
    match name {
        "" => format!("name a column of {schema}.{table}: it has {there}"),
        _ => format!("{schema}.{table} has no column {name:?}; it has {there}"),
    }
}

fn key_column(column: &Column) -> KeyColumn {
    KeyColumn { name: column.name.clone(), cast: column.cast.clone() }
}

fn id_columns(spec: &Spec, relation: &Relation, faults: &mut Faults) -> Vec<KeyColumn> {
    const FIELD: &str = "document_id_column";
    let mut columns: Vec<KeyColumn> = Vec::new();
    for name in spec.id_columns() {
        match relation.column(name) {
            None => faults.add(FIELD, no_column(relation, name)),
            Some(column)
                if column.is_array || ["json", "point", "bytea", "xml"].contains(&column.base_type.as_str()) =>
            {
                faults.add(FIELD, format!("{name} is {}, which can't be ordered or makes no id", column.declared));
            }
            Some(column) if columns.iter().any(|other| other.name == column.name) => {
                faults.add(FIELD, format!("{name} stands twice"));
            }
            Some(column) => {
                if relation.kind.has_constraints() && !column.not_null {
                    faults.add(FIELD, format!("{name} may be null: `{}`", set_not_null(relation, name)));
                }
                columns.push(key_column(column));
            }
        }
    }
    columns
}

fn set_not_null(relation: &Relation, column: &str) -> String {
    format!("alter table {}.{} alter column {column} set not null", relation.schema, relation.name)
}

/// The key that rows are scanned by: a unique index's columns where the table has one among those of the id.
fn scan_key(spec: &Spec, relation: &Relation, id: &[KeyColumn], faults: &mut Faults) -> Vec<KeyColumn> {
    let is_within = |key: &&Vec<String>| key.iter().all(|name| id.iter().any(|column| column.name == *name));
    let by_name = |name: &String| id.iter().find(|column| column.name == *name).cloned();
    match relation.unique_keys.iter().find(is_within) {
        Some(key) => key.iter().filter_map(by_name).collect(),
        None if relation.kind.has_constraints() && !id.is_empty() => {
            let table = format!("{}.{}", relation.schema, relation.name);
            let instead = match relation.unique_keys.first() {
                Some(key) => format!("take {}, which is unique, or ", key.join(",")),
                None => String::new(),
            };
            let columns = &spec.document_id_column;
            faults.add(
                "document_id_column",
                format!("{columns} is not unique in {table}: {instead}`create unique index on {table} ({columns})`"),
            );
            Vec::new()
        }
        None => id.to_vec(),
    }
}

fn cursor<'r>(spec: &Spec, relation: &'r Relation, faults: &mut Faults) -> Option<&'r Column> {
    let name = spec.cursor_column.as_deref()?;
    match relation.column(name) {
        None => faults.add("cursor_column", no_column(relation, name)),
        Some(column) if column.is_array || !["timestamp", "timestamptz"].contains(&column.base_type.as_str()) => {
            let message = format!(
                "{name} is {}, and must be a timestamp: only a moment can be compared with when transactions began",
                column.declared
            );
            faults.add("cursor_column", message);
        }
        Some(column) => return Some(column),
    }
    None
}

/// The mapping as a text, and as a seed for hashes.
fn mapping(spec: &Spec, key: &[KeyColumn], id: &[KeyColumn], selected: &[Selected], fields: &[Value]) -> (String, u64) {
    // With their types, by which ranges are cut and ids are written.
    let listed =
        |columns: &[KeyColumn]| -> Value { columns.iter().map(|column| json!([column.name, column.cast])).collect() };
    let selected: Vec<_> = selected.iter().map(|one| (&one.column, &one.expression)).collect();
    let all = json!([
        1,
        spec.typesense_profile_id,
        spec.collection_name,
        [&spec.source_client_name, &spec.source_schema_name, &spec.source_table_name],
        listed(key),
        listed(id),
        selected,
        fields,
        spec.default_sort_field
    ]);
    let digest = Sha256::digest(all.to_string().as_bytes());
    let (seed, _) = digest.split_first_chunk::<8>().expect("a digest is longer");
    (hex::encode(digest), u64::from_le_bytes(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::column_of;

    fn books() -> Relation {
        Relation {
            schema: "public".to_owned(),
            name: "books".to_owned(),
            kind: RelationKind::Table,
            columns: vec![
                column_of("id", "int8", true),
                column_of("title", "text", false),
                column_of("price", "numeric", true),
                column_of("cover", "bytea", false),
                column_of("changed", "timestamptz", false),
            ],
            unique_keys: vec![vec!["id".to_owned()]],
            estimated_rows: 0.0,
        }
    }

    fn spec(more: Value) -> Spec {
        let mut all = json!({
            "name": "books", "source_client_name": "shop", "source_table_name": "books",
            "typesense_profile_id": uuid::Uuid::nil(), "collection_name": "books", "document_id_column": "id",
            "selected_columns": ["id", "title", "price"],
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn faults(more: Value) -> Vec<(String, String)> {
        let made = Plan::make(&spec(more), &books());
        made.err().unwrap_or_default().into_iter().map(|fault| (fault.field, fault.message)).collect()
    }

    #[test]
    fn a_table_becomes_a_collection() {
        let spec = spec(
            json!({ "facet_by_fields": ["price"], "sort_by_fields": ["title"], "default_sort_field": "price",
                                "field_config": { "title": { "name": "label", "locale": "de" } }, "query_by_fields": ["label"],
                                "sort_by_fields": ["label"] }),
        );
        let plan = Plan::make(&spec, &books()).unwrap();
        assert_eq!(
            plan.fields,
            [
                json!({ "name": "label", "type": "string", "optional": true, "sort": true, "locale": "de" }),
                json!({ "name": "price", "type": "float", "facet": true }),
            ]
        );
        let other = Spec { facet_by_fields: Vec::new(), ..spec.clone() };
        assert_ne!(Plan::make(&other, &books()).unwrap().mapping, plan.mapping, "a schema of its own");
        let same = Spec { batch_size: 7, stale_after_minutes: 3, ..spec };
        assert_eq!(Plan::make(&same, &books()).unwrap().mapping, plan.mapping);
    }

    #[test]
    fn each_fault_says_what_to_change() {
        for (more, field, said) in [
            (json!({ "selected_columns": ["id", "titel"] }), "selected_columns", "it has id, title"),
            (json!({ "selected_columns": [] }), "selected_columns", "the column cover: bytea"),
            (json!({ "selected_columns": ["title", "title"] }), "selected_columns", "stands twice"),
            (json!({ "document_id_column": "title" }), "document_id_column", "take id, which is unique"),
            (json!({ "document_id_column": "isbn" }), "document_id_column", "no column"),
            (json!({ "query_by_fields": ["price"] }), "query_by_fields", "searches look in texts"),
            (json!({ "facet_by_fields": ["genre"] }), "facet_by_fields", "there will be title, price"),
            (json!({ "default_sort_field": "title" }), "default_sort_field", "int64"),
            (json!({ "cursor_column": "title" }), "cursor_column", "must be a timestamp"),
            (
                json!({ "field_config": { "title": { "type": "int32" } } }),
                "field_config.title.type",
                "it may be string",
            ),
            (json!({ "field_config": { "title": { "colour": 1 } } }), "field_config", "colour"),
            (json!({ "field_config": { "title": { "name": "id" } } }), "field_config", "another"),
            (json!({ "field_config": { "genre": {} } }), "field_config.genre", "no column"),
            (json!({ "embedding": { "from": ["price"], "model": "openai:m" } }), "embedding", "from[0]"),
            (
                json!({ "embedding": { "from": ["title"], "model": "openai:m", "outage": "skip" } }),
                "embedding",
                "waits for its model",
            ),
            (json!({ "mode": "live", "sync_strategy": "full" }), "sync_strategy", "upsert"),
        ] {
            let found = faults(more.clone());
            assert!(found.iter().any(|(at, message)| at == field && message.contains(said)), "{more}: {found:?}");
        }
    }

    #[test]
    fn rows_are_scanned_by_a_unique_index_among_the_ids_columns() {
        let mut books = books();
        books.columns[1].not_null = true;
        // The column `id` is a part of the document's id, and needs another name to be a field.
        let wishes = json!({ "document_id_column": "title,id", "field_config": { "id": { "name": "number" } } });
        let plan = Plan::make(&spec(wishes), &books).unwrap();
        let names = |columns: &[KeyColumn]| columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&plan.statement.key), names(&plan.statement.id)),
            (vec!["id".into()], vec!["title".into(), "id".into()])
        );
    }

    #[test]
    fn a_view_is_taken_at_its_word_and_can_not_be_followed() {
        let mut view = Relation { kind: RelationKind::View, unique_keys: Vec::new(), ..books() };
        view.columns.iter_mut().for_each(|column| column.not_null = false);
        assert!(!Plan::make(&spec(json!({})), &view).unwrap().key_is_sure);
        let faults = Plan::make(&spec(json!({ "mode": "live" })), &view).unwrap_err();
        assert_eq!(faults[0].field, "mode");
    }
}
