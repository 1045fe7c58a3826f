//! Vectors out of models: one at an address, which has its bad days, and the one in the process.

use std::{path::PathBuf, time::Duration};

use serde_json::json;
use sqlx::PgPool;
use tidewell::{
    db::{MIGRATOR, embedding},
    dev::default_cache,
    domain::{backoff::Backoff, embedding::Embedding, sensitive::Sensitive},
    embed::{Embedders, Error, OpenAiOptions, Options, Refusal, Vector},
};

use crate::support::{
    openai::{self, Fault, OpenAi},
    servers::servers,
};

/// A database and a service, and nothing embedded yet.
struct Bench {
    pool: PgPool,
    openai: OpenAi,
}

impl Bench {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pool = PgPool::connect(&servers().await.fresh_database().await).await.expect("the database");
        MIGRATOR.run(&pool).await.expect("migrated");
        Self { pool, openai: OpenAi::start().await }
    }

    fn options(&self) -> Options {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let cache = std::env::var_os("TIDEWELL_CACHE").map(PathBuf::from);
        Options {
            cache: cache.unwrap_or_else(|| default_cache(home.as_deref())),
            local_model: None,
            openai: OpenAiOptions {
                base_url: self.openai.url.clone(),
                api_key: Some(Sensitive::new("hush")),
                batch: 8,
                dimensions: None,
                timeout: Duration::from_secs(1),
            },
            backoff: Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(1) },
        }
    }

    fn embedders(&self) -> Embedders {
        Embedders::new(self.options())
    }

    async fn kept(&self) -> i64 {
        sqlx::query_scalar("select count(*) from tidewell.embeddings").fetch_one(&self.pool).await.expect("a number")
    }
}

fn model(name: &str) -> Embedding {
    serde_json::from_value(json!({ "from": ["title"], "model": name })).expect("an embedding")
}

fn remote() -> Embedding {
    model("openai:some-model")
}

fn local() -> Embedding {
    model("local:all-MiniLM-L6-v2")
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("text number {n}")).collect()
}

fn good(vectors: Vec<Option<Result<Vector, Refusal>>>) -> Vec<Vector> {
    vectors.into_iter().map(|vector| vector.expect("not empty").expect("taken")).collect()
}

fn pause<T: std::fmt::Debug>(result: Result<T, Error>) -> (String, Duration) {
    match result {
        Err(Error::Away { message, retry_after: Some(pause) }) => (message, pause),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_text_gets_its_own_vector_and_the_empty_ones_and_duplicates_are_not_sent() {
    let bench = Bench::new().await;
    let given = [numbered(20), texts(&["", "  ", "text number 3"])].concat();
    let vectors = bench.embedders().documents(&bench.pool, &remote(), &given).await.expect("vectors");
    for (text, vector) in given.iter().zip(&vectors) {
        let expected = (!text.trim().is_empty()).then(|| Ok(openai::vector(text)));
        assert_eq!(*vector, expected, "{text}");
    }
    let mut sent = bench.openai.embedded();
    sent.sort();
    let mut expected = [numbered(20), texts(&["word"])].concat();
    expected.sort();
    assert_eq!(sent, expected, "each once, and one to learn how long vectors are");
    assert!(bench.openai.authorizations().iter().all(|key| key.as_deref() == Some("Bearer hush")));
}

#[tokio::test]
async fn nothing_is_embedded_twice_whoever_asks() {
    let bench = Bench::new().await;
    let first = bench.embedders();
    let vectors = good(first.documents(&bench.pool, &remote(), &numbered(20)).await.expect("vectors"));
    let sent = bench.openai.embedded().len();
    for embedders in [&first, &bench.embedders()] {
        let again = embedders.documents(&bench.pool, &remote(), &numbered(20)).await.expect("vectors");
        assert_eq!(good(again), vectors);
    }
    assert_eq!(bench.openai.embedded().len(), sent + 1, "the other process learns how long vectors are");
    let prefixed = Embedding {
        prefixes: serde_json::from_value(json!({ "document": "passage: " })).expect("prefixes"),
        ..remote()
    };
    first.documents(&bench.pool, &prefixed, &texts(&["text number 1"])).await.expect("vectors");
    assert_eq!(bench.openai.embedded().last().map(String::as_str), Some("passage: text number 1"));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved_and_a_text_that_is_refused_is_refused_alone() {
    let bench = Bench::new().await;
    bench.openai.set(Fault::TooLarge(3));
    let mut given = numbered(16);
    given[5] = format!("an {} text", openai::UNWANTED);
    let vectors = bench.embedders().documents(&bench.pool, &remote(), &given).await.expect("vectors");
    for (n, (text, vector)) in given.iter().zip(&vectors).enumerate() {
        match vector {
            Some(Err(Refusal(message))) if n == 5 => assert!(message.contains("it says invalid_input"), "{message}"),
            other => assert_eq!(*other, Some(Ok(openai::vector(text)))),
        }
    }
    assert_eq!(bench.kept().await, 15, "a refusal is not kept");
    let alone = bench.embedders().documents(&bench.pool, &remote(), &given[5..6]).await.expect("an answer");
    assert!(matches!(alone[0], Some(Err(_))), "the service itself is well");
}

#[tokio::test]
async fn a_service_that_says_when_to_come_again_is_left_alone_until_then() {
    for (fault, message) in [
        (Fault::BusySeconds(30), "rate_limit_exceeded"),
        (Fault::BusyUntil(30), "rate_limit_exceeded"),
        (Fault::Unpaid, "insufficient_quota"),
        (Fault::Unauthorized, "invalid_api_key"),
    ] {
        let bench = Bench::new().await;
        let embedders = bench.embedders();
        bench.openai.set(fault);
        let (said, asked) = pause(embedders.documents(&bench.pool, &remote(), &numbered(1)).await);
        assert!(said.contains(message) && !said.contains("hush"), "{said}");
        assert!(asked >= Duration::from_secs(28), "{fault:?}: {asked:?}");
        assert_eq!(embedders.troubles(), [("openai:some-model".to_owned(), said)]);
        pause(embedders.query(&remote(), "a text").await);
        assert_eq!(bench.openai.requests(), 1, "{fault:?}: the second call asks nobody");
    }
}

#[tokio::test]
async fn a_service_that_is_away_is_tried_again_and_what_it_made_before_is_not_lost() {
    let bench = Bench::new().await;
    let embedders = bench.embedders();
    good(embedders.documents(&bench.pool, &remote(), &numbered(3)).await.expect("vectors"));
    let (before, sent) = (bench.openai.requests(), bench.openai.embedded().len());
    bench.openai.set(Fault::Unavailable);
    let (_, asked) = pause(embedders.documents(&bench.pool, &remote(), &numbered(5)).await);
    assert_eq!(bench.openai.requests(), before + 3, "some tries at once");
    bench.openai.set(Fault::None);
    tokio::time::sleep(asked).await;
    good(embedders.documents(&bench.pool, &remote(), &numbered(5)).await.expect("vectors"));
    assert_eq!(bench.openai.embedded().len(), sent + 2);
    assert_eq!(embedders.troubles(), []);
}

#[tokio::test]
async fn answers_that_make_no_sense_and_answers_that_do_not_come_are_no_vectors() {
    for (fault, message) in [
        (Fault::WrongCount, "0 vectors for 1 texts"),
        (Fault::OtherDimensions, "a vector of 63 numbers, and 64 are expected"),
        (Fault::Hanging, "did not answer in time"),
    ] {
        let bench = Bench::new().await;
        let embedders = bench.embedders();
        embedders.fingerprint(&remote()).await.expect("it is well at first");
        bench.openai.set(fault);
        let (said, _) = pause(embedders.documents(&bench.pool, &remote(), &numbered(1)).await);
        assert!(said.contains(message), "{said}");
        assert_eq!(bench.kept().await, 0);
    }
}

#[tokio::test]
async fn a_search_is_asked_for_once_and_by_its_own_prefix() {
    let bench = Bench::new().await;
    let embedders = bench.embedders();
    let prefixed = Embedding {
        prefixes: serde_json::from_value(json!({ "query": "query: ", "document": "passage: " })).expect("prefixes"),
        ..remote()
    };
    for _ in 0..3 {
        assert_eq!(embedders.query(&prefixed, "tides").await.expect("a vector"), openai::vector("query: tides"));
    }
    assert_eq!(bench.openai.embedded(), ["word", "query: tides"]);
    assert_eq!(bench.kept().await, 0, "searches are nobody's documents");
}

#[tokio::test]
async fn the_vectors_used_last_are_kept_and_no_more_than_may_be() {
    let bench = Bench::new().await;
    let embedders = bench.embedders();
    embedders.documents(&bench.pool, &remote(), &numbered(300)).await.expect("vectors");
    sqlx::query("update tidewell.embeddings set used_on = current_date - 9").execute(&bench.pool).await.expect("aged");
    embedders.documents(&bench.pool, &remote(), &numbered(10)).await.expect("vectors");
    assert_eq!(embedding::prune(&bench.pool, 1_000_000, 100).await.expect("a number"), 0);
    assert_eq!(embedding::prune(&bench.pool, 50, 100).await.expect("a number"), 100, "a step at a time");
    for _ in 0..3 {
        embedding::prune(&bench.pool, 50, 100).await.expect("a number");
    }
    assert_eq!(bench.kept().await, 50);
    let sent = bench.openai.embedded().len();
    embedders.documents(&bench.pool, &remote(), &numbered(10)).await.expect("vectors");
    assert_eq!(bench.openai.embedded().len(), sent, "those used today are there");
}

fn nearness(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[tokio::test]
async fn the_model_in_the_process_knows_what_texts_mean() {
    let bench = Bench::new().await;
    let embedders = bench.embedders();
    let long = vec!["the harbour master keeps a table of the tides"; 60].join(" ");
    let longer = format!("{long} and much more of it that nobody reads");
    let given = texts(&[
        "How do I edit a text file?",
        "a small program for writing notes",
        "The moon moves the sea twice a day.",
        "x",
        "",
        &long,
        &longer,
    ]);
    let vectors = embedders.documents(&bench.pool, &local(), &given).await.expect("vectors");
    assert_eq!(vectors[4], None);
    for (n, text) in given.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        let Some(Ok(together)) = &vectors[n] else { panic!("{text}") };
        let alone = embedders.query(&local(), text).await.expect("a vector");
        assert!((nearness(together, together) - 1.0).abs() < 1e-5);
        let worst = together.iter().zip(&alone).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{text}: {worst}");
    }
    let vector = |n: usize| vectors[n].clone().expect("not empty").expect("taken");
    assert!(nearness(&vector(0), &vector(1)) > nearness(&vector(0), &vector(2)) + 0.1);
    // As another implementation gives it (candle's BERT, which pads and computes in another order).
    let expected = [0.010_916_735, 0.019_535_147, 0.120_846_085, 0.046_976_823, -0.072_102_06, -0.073_632_61];
    for (number, expected) in vector(2).into_iter().zip(expected) {
        assert!((number - expected).abs() < 1e-5, "{number} is not {expected}");
    }
    assert_eq!(vector(5), vector(6), "what comes after 256 tokens does not count");
    let fingerprint = embedders.fingerprint(&local()).await.expect("a fingerprint");
    let own = fingerprint.local.expect("its files");
    assert_eq!((fingerprint.dimensions, own.max_tokens, &own.weights[..8]), (384, 256, "53aa5117"));
}
