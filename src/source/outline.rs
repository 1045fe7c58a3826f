//! What a relation is like, for whoever chooses what to sync.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Column, Relation};

/// A relation with its columns, each with what it would be in Typesense.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SourceTableOutline)]
pub struct Outline {
    pub schema: String,
    pub name: String,
    /// `table`, `view`, `materialized view` or `foreign table`.
    pub kind: &'static str,
    /// As the planner estimates them; null where it does not know.
    #[schema(required)]
    pub estimated_rows: Option<i64>,
    /// In their order.
    pub columns: Vec<ColumnOutline>,
    /// The columns of each unique index over whole rows, the primary key first: what a document's id can be made of.
    pub unique_keys: Vec<Vec<String>>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SourceColumn)]
pub struct ColumnOutline {
    pub name: String,
    /// As it was declared, such as `numeric(10,2)`.
    #[serde(rename = "type")]
    pub declared: String,
    /// Whether a row may lack it. Of a view nobody knows, so it may.
    pub nullable: bool,
    /// The type in Typesense that fits it best; null where there is none.
    #[schema(required)]
    pub field_type: Option<String>,
    /// Why it can't be a field.
    #[schema(required)]
    pub reason: Option<String>,
}

impl From<&Relation> for Outline {
    fn from(relation: &Relation) -> Self {
        Self {
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            kind: relation.kind.as_str(),
            estimated_rows: (relation.estimated_rows >= 0.0).then_some(relation.estimated_rows as i64),
            columns: relation.columns.iter().map(ColumnOutline::from).collect(),
            unique_keys: relation.unique_keys.clone(),
        }
    }
}

impl From<&Column> for ColumnOutline {
    fn from(column: &Column) -> Self {
        let (field_type, reason) = match column.conversion(None) {
            Ok(conversion) => (Some(conversion.field_type), None),
            Err(fault) => (None, Some(fault.to_string())),
        };
        Self {
            name: column.name.clone(),
            declared: column.declared.clone(),
            nullable: !column.not_null,
            field_type,
            reason,
        }
    }
}
