//! A sync job's properties as flags, or as a file in the API's form.

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use tidewell::db;

use crate::cli::{backend, input};

/// What a job is asked to be. An empty text takes a property away that may be missing, and empties a list.
#[derive(Debug, Args)]
pub(crate) struct Properties {
    /// The properties in the API's form, as a file of JSON; - reads it from stdin. Flags have the last word
    #[arg(long, value_name = "FILE|-")]
    file: Option<String>,
    /// The client whose table it is: its id or name
    #[arg(long)]
    client: Option<String>,
    /// The table's schema [default: public]
    #[arg(long)]
    schema: Option<String>,
    /// A table, a view or a materialised view
    #[arg(long)]
    table: Option<String>,
    /// The backend to write into: its id or name
    #[arg(long)]
    backend: Option<String>,
    /// The name to search by
    #[arg(long)]
    collection: Option<String>,
    /// The column whose value is a document's id; several, whose values are joined, with commas
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    id_column: Option<Vec<String>>,
    /// The columns to take, with commas [default: all]
    #[arg(long, value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// Fields that searches look in unless they say otherwise, with commas [default: all texts]
    #[arg(long, value_delimiter = ',', value_name = "FIELDS")]
    query_by: Option<Vec<String>>,
    /// Fields to count values of, with commas
    #[arg(long, value_delimiter = ',', value_name = "FIELDS")]
    facet_by: Option<Vec<String>>,
    /// Fields to sort by, with commas; numbers can be sorted by anyway
    #[arg(long, value_delimiter = ',', value_name = "FIELDS")]
    sort_by: Option<Vec<String>>,
    /// By column, its field's name, type and properties, such as {"added":{"type":"string"}}
    #[arg(long, value_name = "JSON|FILE")]
    field_config: Option<String>,
    /// The number to sort by where a search doesn't say
    #[arg(long, value_name = "FIELD")]
    default_sort: Option<String>,
    /// What documents are embedded from, and by which model, such as {"from":["title"],"model":"local:all-MiniLM-L6-v2"}
    #[arg(long, value_name = "JSON|FILE")]
    embedding: Option<String>,
    /// Write what has changed, or build a full collection beside the live one and swap them [default: upsert]
    #[arg(long, value_parser = ["upsert", "full"])]
    strategy: Option<String>,
    /// By runs, or as changes are committed [default: scheduled]
    #[arg(long, value_parser = ["scheduled", "live"])]
    mode: Option<String>,
    /// A timestamp that grows with every change of a row: older rows are not read whole
    #[arg(long, value_name = "COLUMN")]
    cursor_column: Option<String>,
    /// Documents of one import [default: 1000]
    #[arg(long, value_name = "DOCUMENTS")]
    batch_size: Option<i32>,
    /// The pause after each import [default: 0]
    #[arg(long, value_name = "MILLISECONDS")]
    batch_delay_ms: Option<i32>,
    /// Run every so many minutes [default: only when asked]
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["cron", "no_schedule"])]
    every: Option<i32>,
    /// Run at minute, hour, day, month and weekday, such as "0 3 * * *"
    #[arg(long, conflicts_with = "no_schedule")]
    cron: Option<String>,
    /// Run only when asked
    #[arg(long)]
    no_schedule: bool,
    /// The time zone of --cron, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// How long after the last good run the collection counts as stale [default: 120]
    #[arg(long, value_name = "MINUTES")]
    stale_after: Option<i32>,
    /// A run of which a larger share of rows is refused has failed [default: 0.5]
    #[arg(long, value_name = "0..1")]
    failed_share_limit: Option<f64>,
    /// Neither run nor be searched
    #[arg(long, conflicts_with = "enabled")]
    disabled: bool,
    /// Run and be searched, which is so unless it is disabled
    #[arg(long)]
    enabled: bool,
    /// Leave the schedule alone
    #[arg(long, conflicts_with = "auto_sync")]
    no_auto_sync: bool,
    /// Follow the schedule, which is so unless it is left alone
    #[arg(long)]
    auto_sync: bool,
}

impl Properties {
    /// What is given, by the API's names.
    pub(super) async fn given(&self, pool: &PgPool) -> anyhow::Result<Map<String, Value>> {
        let mut given = self.file.as_deref().map_or(Ok(Map::new()), read)?;
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                given.insert(name.to_owned(), value);
            }
        };
        if let Some(name) = &self.client {
            // One that there is not is a fault that is told with the others.
            let client = db::client::resolve(pool, name).await?;
            set("source_client_name", Some(client.map_or_else(|| json!(name), |client| json!(client.name))));
        }
        if let Some(name) = &self.backend {
            set("typesense_profile_id", Some(json!(backend::find(pool, name).await?.id)));
        }
        set("source_schema_name", text(self.schema.as_ref()));
        set("source_table_name", text(self.table.as_ref()));
        set("collection_name", text(self.collection.as_ref()));
        set("document_id_column", self.id_column.as_ref().map(|columns| json!(columns.join(","))));
        set("selected_columns", list(self.columns.as_ref()));
        set("query_by_fields", list(self.query_by.as_ref()));
        set("facet_by_fields", list(self.facet_by.as_ref()));
        set("sort_by_fields", list(self.sort_by.as_ref()));
        set("field_config", self.field_config.as_deref().map(field_config).transpose()?);
        set("default_sort_field", text_or_null(self.default_sort.as_ref()));
        set("embedding", self.embedding.as_deref().map(embedding).transpose()?);
        set("sync_strategy", text(self.strategy.as_ref()));
        set("mode", text(self.mode.as_ref()));
        set("cursor_column", text_or_null(self.cursor_column.as_ref()));
        set("batch_size", number(self.batch_size));
        set("batch_delay_ms", number(self.batch_delay_ms));
        // There is one schedule: a new one takes the place of the other.
        if self.every.is_some() || self.cron.is_some() || self.no_schedule {
            set("sync_interval_minutes", Some(json!(self.every)));
            set("cron", Some(json!(self.cron)));
        }
        set("timezone", text(self.timezone.as_ref()));
        set("stale_after_minutes", number(self.stale_after));
        set("failed_share_limit", self.failed_share_limit.map(|share| json!(share)));
        set("enabled", switch(self.enabled, self.disabled));
        set("auto_sync_enabled", switch(self.auto_sync, self.no_auto_sync));
        Ok(given)
    }
}

fn read(file: &str) -> anyhow::Result<Map<String, Value>> {
    let text = input::file_or_stdin(file, "job")?;
    match serde_json::from_str(&text).with_context(|| format!("the job in {file} is not JSON"))? {
        Value::Object(job) => Ok(job),
        _ => bail!("the job in {file} must be a JSON object"),
    }
}

fn field_config(given: &str) -> anyhow::Result<Value> {
    let text = input::json_or_file(given, "field config")?;
    serde_json::from_str(&text).context("the field config is not JSON")
}

fn embedding(given: &str) -> anyhow::Result<Value> {
    if given.is_empty() {
        return Ok(Value::Null);
    }
    let text = input::json_or_file(given, "embedding")?;
    serde_json::from_str(&text).context("the embedding is not JSON")
}

fn text(given: Option<&String>) -> Option<Value> {
    given.map(|text| json!(text))
}

fn text_or_null(given: Option<&String>) -> Option<Value> {
    given.map(|text| if text.is_empty() { Value::Null } else { json!(text) })
}

fn list(given: Option<&Vec<String>>) -> Option<Value> {
    given.map(|names| names.iter().filter(|name| !name.is_empty()).map(|name| json!(name.trim())).collect())
}

fn number(given: Option<i32>) -> Option<Value> {
    given.map(|number| json!(number))
}

fn switch(on: bool, off: bool) -> Option<Value> {
    (on || off).then_some(json!(on))
}
