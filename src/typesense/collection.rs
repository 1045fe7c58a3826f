//! Collections and aliases.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Client, Error, segment, send, send_json};

/// A collection to be made.
#[derive(Serialize)]
pub struct NewCollection<'a> {
    pub name: &'a str,
    pub fields: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_sorting_field: Option<&'a str>,
    pub enable_nested_fields: bool,
}

/// A collection as the node describes it.
#[derive(Debug, Deserialize)]
pub struct Collection {
    pub name: String,
    pub num_documents: u64,
}

impl Client {
    /// The collection of that name or, where it is an alias, the one behind it; `None` where there is neither.
    pub async fn collection(&self, name: &str) -> Result<Option<Collection>, Error> {
        found(send_json(self.request(Method::GET, &format!("/collections/{}", segment(name)))).await)
    }

    /// Makes a collection. `Ok(false)`: one of that name was there already.
    pub async fn create_collection(&self, collection: &NewCollection<'_>) -> Result<bool, Error> {
        match send(self.request(Method::POST, "/collections").json(collection)).await {
            Ok(_) => Ok(true),
            Err(Error::Status { status: 409, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The collection that an alias points at.
    pub async fn alias(&self, alias: &str) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Alias {
            collection_name: String,
        }
        let alias = send_json::<Alias>(self.request(Method::GET, &format!("/aliases/{}", segment(alias)))).await;
        Ok(found(alias)?.map(|alias| alias.collection_name))
    }

    /// Points an alias at a collection, in one step.
    pub async fn put_alias(&self, alias: &str, collection: &str) -> Result<(), Error> {
        let body = serde_json::json!({ "collection_name": collection });
        send(self.request(Method::PUT, &format!("/aliases/{}", segment(alias))).json(&body)).await.map(drop)
    }
}

fn found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Status { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
