//! What a sync job is asked to be: the table, the collection, and how one becomes the other.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::embedding::Embedding;

/// How a run brings the collection up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = SyncStrategy)]
pub enum Strategy {
    /// Writes what has changed and deletes what has vanished.
    #[default]
    Upsert,
    /// Builds a new collection beside the live one and swaps them.
    Full,
}

/// When the collection follows the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = SyncMode)]
pub enum Mode {
    /// By runs.
    #[default]
    Scheduled,
    /// As changes are committed, by logical replication.
    Live,
}

/// A sync job as its owner describes it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
#[schema(as = SyncJobSpec)]
pub struct Spec {
    pub name: String,
    /// The logical name of the source database.
    pub source_client_name: String,
    #[serde(default = "public")]
    pub source_schema_name: String,
    /// A table, a view or a materialised view.
    pub source_table_name: String,
    pub typesense_profile_id: Uuid,
    /// The name to search by.
    pub collection_name: String,
    /// The column whose value is a document's id; several with commas, whose values are joined.
    #[serde(deserialize_with = "one_or_several")]
    #[schema(value_type = String)]
    pub document_id_column: String,
    /// All columns where empty.
    #[serde(default)]
    pub selected_columns: Vec<String>,
    /// Fields that searches look in unless they say otherwise; all texts where empty.
    #[serde(default)]
    pub query_by_fields: Vec<String>,
    #[serde(default)]
    pub facet_by_fields: Vec<String>,
    #[serde(default)]
    pub sort_by_fields: Vec<String>,
    /// By column: `name` and `type` of its field, and properties that Typesense gives fields (`facet`, `sort`, `index`, `infix`, `locale`).
    #[serde(default)]
    #[sqlx(json)]
    #[schema(value_type = Object)]
    pub field_config: Map<String, Value>,
    /// A number that every row has; documents of a search without an order are sorted by it, the largest first.
    #[serde(default)]
    pub default_sort_field: Option<String>,
    /// What documents are embedded from, and by which model; without it they have no vectors.
    #[serde(default)]
    #[sqlx(json(nullable))]
    pub embedding: Option<Embedding>,
    #[serde(default)]
    pub sync_strategy: Strategy,
    #[serde(default)]
    pub mode: Mode,
    /// A timestamp that grows with every change of a row: rows that are older than the last run are not read whole.
    #[serde(default)]
    pub cursor_column: Option<String>,
    /// Documents of one import.
    #[serde(default = "batch_size")]
    #[schema(minimum = 1, maximum = 10000, default = 1000)]
    pub batch_size: i32,
    /// The pause after each import.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 60000)]
    pub batch_delay_ms: i32,
    /// Either this or `cron`; without both the job runs when somebody asks.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub sync_interval_minutes: Option<i32>,
    /// Minute, hour, day, month and weekday.
    #[serde(default)]
    pub cron: Option<String>,
    /// The one that `cron` is of, such as Europe/Berlin.
    #[serde(default = "utc")]
    pub timezone: String,
    /// How long after the last good run the collection counts as stale.
    #[serde(default = "stale_after")]
    #[schema(minimum = 1, default = 120)]
    pub stale_after_minutes: i32,
    /// A run of which a larger share of rows was refused has failed.
    #[serde(default = "failed_share")]
    #[schema(minimum = 0, maximum = 1, default = 0.5)]
    pub failed_share_limit: f64,
    /// Whether it runs and is searched at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether its schedule is followed.
    #[serde(default = "yes")]
    pub auto_sync_enabled: bool,
}

fn public() -> String {
    "public".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

fn batch_size() -> i32 {
    1000
}

fn stale_after() -> i32 {
    120
}

fn failed_share() -> f64 {
    0.5
}

fn yes() -> bool {
    true
}

impl Spec {
    /// The columns of the id, in the order in which their values are joined.
    pub fn id_columns(&self) -> impl Iterator<Item = &str> {
        self.document_id_column.split(',').map(str::trim)
    }

    /// The description with some of its properties given anew.
    ///
    /// # Errors
    /// A property that there is not, or a value of the wrong type.
    pub fn with(&self, changes: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut all = serde_json::to_value(self)?;
        if let Value::Object(all) = &mut all {
            all.extend(changes);
        }
        serde_json::from_value(all)
    }

    /// Whether another description is this one, switched on or off.
    pub fn differs_in_enabled_alone(&self, other: &Self) -> bool {
        Self { enabled: other.enabled, ..self.clone() } == *other
    }
}

/// A name, or a list of names.
fn one_or_several<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Names::deserialize(deserializer)? {
        Names::One(name) => name,
        Names::Several(names) => names.join(","),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        let spec: Spec = serde_json::from_value(serde_json::json!({
            "name": "books", "source_client_name": "shop", "source_table_name": "books",
            "typesense_profile_id": Uuid::nil(), "collection_name": "books", "document_id_column": ["a", "b"],
        }))
        .unwrap();
        assert_eq!(spec.id_columns().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((spec.batch_size, spec.sync_strategy, spec.mode), (1000, Strategy::Upsert, Mode::Scheduled));
        assert!(spec.enabled && spec.auto_sync_enabled && spec.source_schema_name == "public");
    }
}
