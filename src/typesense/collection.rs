//! Collections and aliases.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Client, Error, segment};

/// How long a node may take to index fields that are new.
const ALTER_TIMEOUT: Duration = Duration::from_secs(600);

/// A collection to be made.
#[derive(Serialize)]
pub struct NewCollection<'a> {
    pub name: &'a str,
    pub fields: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_sorting_field: Option<&'a str>,
    pub enable_nested_fields: bool,
}

/// A collection that is there.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct CollectionInfo {
    pub name: String,
    pub num_documents: u64,
    pub fields: Vec<Value>,
    #[serde(default, deserialize_with = "unless_empty")]
    pub default_sorting_field: Option<String>,
    #[serde(default)]
    pub enable_nested_fields: bool,
    /// Seconds since 1970.
    #[serde(default)]
    pub created_at: i64,
}

/// Typesense says "" where there is none.
fn unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

#[derive(Deserialize)]
struct Alias {
    name: String,
    collection_name: String,
}

impl Client {
    /// Makes a collection. `Ok(false)`: one of that name was there already.
    pub async fn create_collection(&self, collection: &NewCollection<'_>) -> Result<bool, Error> {
        match self.send(self.request(Method::POST, "/collections").json(collection)).await {
            Ok(_) => Ok(true),
            Err(Error::Status { status: 409, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All collections.
    pub async fn list_collections(&self) -> Result<Vec<CollectionInfo>, Error> {
        self.send_json(self.request(Method::GET, "/collections")).await
    }

    /// The collection that has this name itself; an alias of this name is none.
    pub async fn collection(&self, name: &str) -> Result<Option<CollectionInfo>, Error> {
        let call = self.request(Method::GET, &format!("/collections/{}", segment(name)));
        // Typesense looks behind aliases here.
        Ok(there(self.send_json(call).await)?.filter(|found: &CollectionInfo| found.name == name))
    }

    /// The fields of a collection, or of the one behind an alias.
    pub async fn fields_behind(&self, name: &str) -> Result<Option<Vec<Value>>, Error> {
        let call = self.request(Method::GET, &format!("/collections/{}", segment(name)));
        Ok(there(self.send_json(call).await)?.map(|found: CollectionInfo| found.fields))
    }

    /// Adds fields to a collection; what documents have of them is indexed before this answers, and nothing is changed where one of
    /// them does not fit.
    pub async fn add_fields(&self, collection: &str, fields: &[&Value]) -> Result<(), Error> {
        let body = serde_json::json!({ "fields": fields });
        let call = self.request(Method::PATCH, &format!("/collections/{}", segment(collection)));
        self.send(call.timeout(ALTER_TIMEOUT).json(&body)).await.map(drop)
    }

    /// Deletes a collection with all its documents; false where none has this name itself.
    pub async fn delete_collection(&self, name: &str) -> Result<bool, Error> {
        // Typesense would take an alias for the collection behind it.
        let Some(node) = self.caught_up(name).await? else { return Ok(false) };
        if node.collection(name).await?.is_none() {
            return Ok(false);
        }
        let call = self.request(Method::DELETE, &format!("/collections/{}", segment(name)));
        Ok(there(self.send(call).await)?.is_some())
    }

    /// Points an alias at a collection, in one step.
    pub async fn put_alias(&self, alias: &str, collection: &str) -> Result<(), Error> {
        let body = serde_json::json!({ "collection_name": collection });
        self.send(self.request(Method::PUT, &format!("/aliases/{}", segment(alias))).json(&body)).await.map(drop)
    }

    /// The collection that an alias points at.
    pub async fn alias(&self, name: &str) -> Result<Option<String>, Error> {
        let call = self.request(Method::GET, &format!("/aliases/{}", segment(name)));
        Ok(there(self.send_json(call).await)?.map(|alias: Alias| alias.collection_name))
    }

    /// All aliases, each with the collection that it points at.
    pub async fn aliases(&self) -> Result<Vec<(String, String)>, Error> {
        #[derive(Deserialize)]
        struct Aliases {
            aliases: Vec<Alias>,
        }
        let found: Aliases = self.send_json(self.request(Method::GET, "/aliases")).await?;
        Ok(found.aliases.into_iter().map(|alias| (alias.name, alias.collection_name)).collect())
    }
}

/// `None` where the node says that there is no such thing.
fn there<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(Error::Status { status: 404, .. }) => Ok(None),
        answer => answer.map(Some),
    }
}
