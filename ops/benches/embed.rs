//! embed: documents a second through the local model and the cache of vectors, beside the model alone.
//!
//! The limit is the best of a sweep of texts at once on all processors, without database or cache, in turns with the figure. Texts
//! are descriptions of Debian's packages joined to some 60 words where apt knows any, else made up.

use std::{
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tidewell::{
    config::{Config, home_folder},
    dev::{debian, default_cache},
    domain::{
        backoff::Backoff,
        embedding::{Embedding, Prefixes},
    },
    embed::{Embedders, OpenAiOptions, Options},
};
use tidewell_minilm::Model;

use super::{
    Scale, overlap,
    report::{Row, median, rounded},
    stack::{self, Stack},
};

const WORDS: usize = 60;
const SWEEP: [usize; 3] = [4, 8, 16];

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let (rounds, count) = if scale.quick { (1, 128) } else { (3, 512) };
    let texts = texts(rounds * count).await;
    let cache = Config::load(None)?.cache.unwrap_or_else(|| default_cache(home_folder().as_deref()));
    let pool = stack::pool(&stack.database("embed").await?, 4).await?;
    tidewell::db::MIGRATOR.run(&pool).await?;
    let embedders = Embedders::new(options(cache.clone()));
    // Fetched and read before time is taken.
    let fingerprint = embedders.fingerprint(&embedding()).await?;
    let model = Arc::new(load(&cache)?);
    let (mut values, mut limits) = (Vec::new(), vec![Vec::new(); SWEEP.len()]);
    for round in texts.chunks(count) {
        values.push(through_embedders(&embedders, &pool, round).await?);
        for (at_once, limits) in SWEEP.iter().zip(&mut limits) {
            limits.push(raw(&model, round, *at_once).await?);
        }
    }
    let (limit, at_once) = limits
        .iter()
        .zip(SWEEP)
        .map(|(limits, at_once)| (median(limits), at_once))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or((f64::NAN, 0));
    let note = format!(
        "limit: the model alone, {at_once} texts at once on each processor; {} numbers a vector",
        fingerprint.dimensions
    );
    let mut rows = vec![Row::rate("embed", median(&values), limit, "documents/s").note(note)];
    rows.extend(overlap::measure(stack, &texts, limit).await?);
    rows.push(again(&pool, &texts, cache.clone()).await?);
    rows.push(searches(&embedders, if scale.quick { 20 } else { 100 }).await?);
    Ok(rows)
}

fn embedding() -> Embedding {
    Embedding {
        from: vec!["description".to_owned()],
        model: "local:all-MiniLM-L6-v2".to_owned(),
        prefixes: Prefixes::default(),
        outage: Default::default(),
    }
}

fn options(cache: PathBuf) -> Options {
    let openai = OpenAiOptions {
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        api_key: None,
        batch: 32,
        dimensions: None,
        timeout: Duration::from_secs(1),
    };
    let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };
    Options { cache, local_model: None, openai, backoff }
}

/// As the room `embed` has unpacked it.
fn load(cache: &std::path::Path) -> anyhow::Result<Model> {
    let read = |name| std::fs::read(cache.join("all-MiniLM-L6-v2").join(name));
    Ok(Model::new(&read("model.safetensors")?, &read("tokenizer.json")?)?)
}

async fn texts(count: usize) -> Vec<String> {
    let list = debian::list().await;
    let descriptions = list.iter().flat_map(|list| list.packages().filter_map(|package| package.field("Description")));
    let made_up = (0..).map(|n| format!("package {n} keeps a table of the tides in harbour {}", n * 7919 % 1000));
    let mut sentences = descriptions.map(str::to_owned).chain(made_up);
    let text = |_| {
        let mut words = 0;
        let enough = |sentence: &String| {
            let before = words;
            words += sentence.split_whitespace().count();
            before < WORDS
        };
        sentences.by_ref().take_while(enough).collect::<Vec<_>>().join(". ")
    };
    (0..count).map(text).collect()
}

/// Texts a second, none of which is known.
async fn through_embedders(embedders: &Embedders, pool: &PgPool, texts: &[String]) -> anyhow::Result<f64> {
    let began = Instant::now();
    let vectors = embedders.documents(pool, &embedding(), texts).await?;
    let rate = texts.len() as f64 / began.elapsed().as_secs_f64();
    anyhow::ensure!(vectors.iter().all(|vector| matches!(vector, Some(Ok(_)))), "a text has no vector");
    Ok(rate)
}

/// Texts a second of the model alone, on as many threads as there are processors.
async fn raw(model: &Arc<Model>, texts: &[String], at_once: usize) -> anyhow::Result<f64> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let (model, texts) = (model.clone(), texts.to_vec());
    let work = move || {
        let began = Instant::now();
        let chunks: Vec<&[String]> = texts.chunks(at_once).collect();
        thread::scope(|scope| {
            let (chunks, model) = (&chunks, &model);
            let run = |n: usize| {
                let mut share = chunks.iter().skip(n).step_by(processors);
                scope.spawn(move || share.try_for_each(|chunk| model.embed(chunk).map(drop)))
            };
            let threads: Vec<_> = (0..processors).map(run).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(outcome) => outcome.map_err(anyhow::Error::from),
                Err(_) => anyhow::bail!("the model panicked"),
            })
        })?;
        Ok(texts.len() as f64 / began.elapsed().as_secs_f64())
    };
    tokio::task::spawn_blocking(work).await?
}

/// Texts a second that are known, by a process that has not seen them.
async fn again(pool: &PgPool, texts: &[String], cache: PathBuf) -> anyhow::Result<Row> {
    let rows = || sqlx::query_scalar::<_, i64>("select count(*) from tidewell.embeddings").fetch_one(pool);
    let embedders = Embedders::new(options(cache));
    embedders.fingerprint(&embedding()).await?;
    let before = rows().await?;
    let rate = through_embedders(&embedders, pool, texts).await?;
    let embedded = rows().await? - before;
    anyhow::ensure!(embedded == 0, "{embedded} texts were embedded a second time");
    Ok(Row::plain("embed_known", rate, "documents/s").note("a second pass, in another process; it embedded none"))
}

/// How long one search waits for its vector.
async fn searches(embedders: &Embedders, count: usize) -> anyhow::Result<Row> {
    let mut times = Vec::new();
    for n in 0..count {
        let began = Instant::now();
        embedders.query(&embedding(), &format!("programs that keep {n} notes")).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let note = format!("median of {} searches that nobody has made before", rounded(count as f64));
    Ok(Row::plain("embed_query", median(&times), "ms").note(note))
}
