//! Typesense's official clients, as published, with a tenant key for their API key.

use crate::{
    searching::library,
    support::{clients::run_script, stack::key},
};

#[tokio::test]
async fn the_client_for_javascript_searches() {
    let (stack, _tenant) = library().await;
    let key = key(stack.operator(), "library", &["search"]).await;
    run_script("search.mjs", stack.operator(), &key).await;
}

#[tokio::test]
async fn the_adapter_for_instantsearch_searches_facets_and_pages() {
    let (stack, _tenant) = library().await;
    let key = key(stack.operator(), "library", &["search"]).await;
    run_script("instantsearch.mjs", stack.operator(), &key).await;
}

#[tokio::test]
async fn the_client_for_python_searches() {
    let (stack, _tenant) = library().await;
    let key = key(stack.operator(), "library", &["search"]).await;
    run_script("search.py", stack.operator(), &key).await;
}
