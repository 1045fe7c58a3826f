//! Collections and aliases.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::{Client, Error, segment, send};

/// A collection to be made.
#[derive(Serialize)]
pub struct NewCollection<'a> {
    pub name: &'a str,
    pub fields: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_sorting_field: Option<&'a str>,
    pub enable_nested_fields: bool,
}

impl Client {
    /// Makes a collection. `Ok(false)`: one of that name was there already.
    pub async fn create_collection(&self, collection: &NewCollection<'_>) -> Result<bool, Error> {
        match send(self.request(Method::POST, "/collections").json(collection)).await {
            Ok(_) => Ok(true),
            Err(Error::Status { status: 409, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Points an alias at a collection, in one step.
    pub async fn put_alias(&self, alias: &str, collection: &str) -> Result<(), Error> {
        let body = serde_json::json!({ "collection_name": collection });
        send(self.request(Method::PUT, &format!("/aliases/{}", segment(alias))).json(&body)).await.map(drop)
    }
}
