//! The client of Typesense on a real one: names that are aliases, and nodes that are down.

use std::time::Duration;

use serde_json::json;
use tidewell::typesense::{Client, LineResult, NewCollection};

use crate::support::servers::servers;

const WITHIN: Duration = Duration::from_secs(10);

/// A client whose first node is down, and names that nobody else has.
async fn client() -> (Client, String, String) {
    let servers = servers().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let down = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::of_nodes(&[down, servers.typesense_url.clone()], &servers.typesense_api_key, WITHIN);
    let name = format!("client_{}", uuid::Uuid::new_v4().simple());
    (client.expect("a client"), format!("{name}_alias"), name)
}

async fn create(client: &Client, name: &str) -> bool {
    let fields = vec![json!({ "name": "n", "type": "int32" })];
    let new = NewCollection { name, fields, default_sorting_field: None, enable_nested_fields: true };
    client.create_collection(&new).await.expect("an answer")
}

#[tokio::test]
async fn an_alias_is_never_taken_for_a_collection() {
    let (client, alias, name) = client().await;
    assert_eq!(
        (client.collection(&name).await.expect("an answer"), client.alias(&alias).await.expect("an answer")),
        (None, None)
    );
    assert!(create(&client, &name).await && !create(&client, &name).await);
    client.put_alias(&alias, &name).await.expect("taken");
    let found = client.collection(&name).await.expect("an answer").expect("the collection");
    assert_eq!((&*found.name, found.num_documents, found.enable_nested_fields), (&*name, 0, true));
    assert_eq!((found.default_sorting_field, found.fields[0]["name"].as_str()), (None, Some("n")));
    assert_eq!(client.collection(&alias).await.expect("an answer"), None);
    assert_eq!(client.alias(&alias).await.expect("an answer").as_deref(), Some(&*name));
    assert!(client.aliases().await.expect("a list").contains(&(alias.clone(), name.clone())));
    assert!(client.list_collections().await.expect("a list").iter().any(|one| one.name == name));
    assert!(!client.delete_collection(&alias).await.expect("an answer"));
    assert!(client.collection(&name).await.expect("an answer").is_some(), "still there");
    assert!(client.delete_collection(&name).await.expect("an answer"));
    assert!(!client.delete_collection(&name).await.expect("an answer"));
}

#[tokio::test]
async fn an_import_goes_to_the_node_that_works() {
    let (client, _, name) = client().await;
    create(&client, &name).await;
    let lines = "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":\"x\"}";
    let results = client.import(&name, lines.into(), 2, WITHIN).await.expect("an answer");
    assert_eq!(results[0], LineResult::Imported);
    assert!(matches!(results[1], LineResult::Refused { .. }));
    assert_eq!(client.collection(&name).await.expect("an answer").expect("the collection").num_documents, 1);
    assert!(client.healthy().await);
    let nodes: Vec<_> = client.each_node().collect();
    assert!(!nodes[0].1.healthy().await && nodes[1].1.version().await.is_ok());
}
