//! Some rows as they are, for whoever chooses what to sync.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::{AssertSqlSafe, Row as _, postgres::PgRow};
use utoipa::ToSchema;

use super::{Error, Relation, Source, statement::quoted};

/// Bytes of a value that is shown whole.
const VALUE_BYTES: usize = 8_192;
/// Characters that are shown of a larger one.
const BEGINNING_CHARS: usize = 1_000;

/// A row as it is in the source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceRow)]
pub struct Sample {
    /// By column. Of a value of more than 8 KB, the beginning of its text.
    #[schema(value_type = Object)]
    pub values: BTreeMap<String, Box<RawValue>>,
    /// Columns of which only the beginning is given.
    pub cut: Vec<String>,
}

impl Source {
    /// The first rows of a relation, in no order.
    pub async fn sample(&mut self, relation: &Relation, limit: i64) -> Result<Vec<Sample>, Error> {
        let sql = statement(relation);
        let rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(limit).fetch_all(&mut self.conn).await;
        let rows = rows.map_err(Error::of)?;
        rows.iter().map(|row| sample(relation, row).map_err(Error::of)).collect()
    }
}

/// Each value as a text whose first character says whether JSON follows, or the beginning of what was too large.
fn statement(relation: &Relation) -> String {
    let value = |name: &str| {
        let column = format!("t.{}", quoted(name));
        format!(
            "case when octet_length({column}::text) > {VALUE_BYTES} then '<' || left({column}::text, {BEGINNING_CHARS})
             else '=' || to_json({column})::text end"
        )
    };
    let values: Vec<String> = relation.columns.iter().map(|column| value(&column.name)).collect();
    let (schema, name) = (quoted(&relation.schema), quoted(&relation.name));
    format!("select {} from {schema}.{name} as t limit $1", values.join(", "))
}

fn sample(relation: &Relation, row: &PgRow) -> Result<Sample, sqlx::Error> {
    let mut sample = Sample { values: BTreeMap::new(), cut: vec![] };
    for (place, column) in relation.columns.iter().enumerate() {
        let text: Option<&str> = row.try_get(place)?;
        let (is_whole, text) = match text {
            None => (true, "null"),
            Some(text) => (text.starts_with('='), text.get(1..).unwrap_or_default()),
        };
        if !is_whole {
            sample.cut.push(column.name.clone());
        }
        let value = if is_whole { json(text) } else { to_raw_value(text) };
        sample.values.insert(column.name.clone(), value.map_err(|error| sqlx::Error::Decode(error.into()))?);
    }
    Ok(sample)
}

/// JSON as it came; what few readers could take, such as a number of a thousand digits, as a text.
fn json(text: &str) -> serde_json::Result<Box<RawValue>> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(_) => RawValue::from_string(text.to_owned()),
        Err(_) => to_raw_value(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_few_can_read_are_texts_and_others_lose_no_digit() {
        assert_eq!(json("1e999").unwrap().get(), "\"1e999\"");
        assert_eq!(json("0.12345678901234567890").unwrap().get(), "0.12345678901234567890");
    }
}
