//! The processes that stay: the front end, the workers, and both in one for `dev`. Built here out of the settings.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use sqlx::PgPool;
use tidewell::{
    config::{Config, home_folder},
    console,
    db::{self, prune::Keep, reseal::Resealed},
    domain::{backend::PlainHttp, backoff::Backoff, seal::Sealer, secret, sensitive::Sensitive},
    embed::{self, Embedders},
    http, metrics, probe, typesense,
    wheels::default_cache,
    worker,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Session, database, sealing, shutdown};

/// How long answers under way may take once the process is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// `tidewell serve`.
pub(super) async fn serve(session: &Session) -> anyhow::Result<()> {
    let config = &session.config;
    let shutdown = shutdown::on_signal("")?;
    let Some((pool, typesense)) = services(config, &shutdown).await? else { return Ok(()) };
    if config.athena_key_12.is_none() {
        tracing::warn!("ATHENA_KEY_12 is not set: nobody can call as the operator");
    }
    if config.secret.is_none() {
        tracing::warn!("TIDEWELL_SECRET is not set: there are no scoped tokens and no table syncs");
    }
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("can't listen on {}: change TIDEWELL_LISTEN", config.listen))?;
    let secrets = http::Secrets {
        operator_key: config.athena_key_12.as_deref(),
        master: config.secret.as_deref(),
        previous_master: config.previous_secret.as_deref(),
    };
    let plain_http = sealing::plain_http(config, PlainHttp::Nowhere);
    metrics::install()?;
    let state = http::State::new(pool.clone(), typesense, secrets, limits(config), plain_http, embedders(config)?);
    tracing::info!(address = %listener.local_addr()?, "serving");
    let keys = ConsoleKeys::of(config, config.athena_key_12.as_deref());
    session.journal.beside(&pool, &name(), front_end(listener, state, keys, bounds(config), shutdown)).await;
    Ok(())
}

/// `tidewell work`.
pub(super) async fn work(session: &Session) -> anyhow::Result<()> {
    let config = &session.config;
    let shutdown = shutdown::on_signal("")?;
    let Some((pool, typesense)) = services(config, &shutdown).await? else { return Ok(()) };
    let name = name();
    tracing::info!(worker = name, backend = typesense.addresses(), "working");
    if config.secret.is_none() {
        tracing::warn!("TIDEWELL_SECRET is not set: no table syncs run here");
    }
    let sealer = config.secret.as_deref().map(|secret| Sealer::new(secret, config.previous_secret.as_deref()));
    let options = worker_options(config, name.clone());
    metrics::install()?;
    let ended = CancellationToken::new();
    let probes = probes(config, pool.clone(), name.clone(), ended.clone()).await?;
    let working = async {
        let _ended = ended.drop_guard();
        worker::run(pool.clone(), typesense, sealer, embedders(config)?, options, shutdown).await;
        anyhow::Ok(())
    };
    let working = async { tokio::try_join!(working, probes).map(drop) };
    session.journal.beside(&pool, &name, working).await
}

/// Answers probes and scrapers of a worker until it has ended, where the settings say so.
async fn probes(
    config: &Config,
    pool: PgPool,
    name: String,
    ended: CancellationToken,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    let listener = match config.work_listen {
        None => None,
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            let listener =
                listener.with_context(|| format!("can't listen on {address}: change TIDEWELL_WORK_LISTEN"))?;
            tracing::info!(address = %listener.local_addr()?, "answering probes");
            Some(listener)
        }
    };
    Ok(async move {
        match listener {
            Some(listener) => probe::serve(listener, pool, name, ended).await.context("probes can't be answered"),
            None => Ok(()),
        }
    })
}

/// What this process is called, as no other is.
fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}-{}", host.trim(), std::process::id(), secret::new_short_id())
}

pub(super) fn embedders(config: &Config) -> anyhow::Result<Arc<Embedders>> {
    let cache = config.cache.clone().unwrap_or_else(|| default_cache(home_folder().as_deref()));
    let options = embed::Options {
        cache: std::path::absolute(cache).context("the cache can't be found")?,
        local_model: config.local_model.clone(),
        openai: embed::OpenAiOptions {
            base_url: config.openai_base_url.clone(),
            api_key: config.openai_api_key.as_ref().map(Sensitive::new),
            batch: config.openai_batch as usize,
            dimensions: (config.openai_dimensions > 0).then_some(config.openai_dimensions as usize),
            timeout: Duration::from_secs(u64::from(config.openai_timeout_seconds)),
        },
        backoff: backoff(config),
    };
    Ok(Arc::new(Embedders::new(options)))
}

fn backoff(config: &Config) -> Backoff {
    Backoff {
        base: Duration::from_millis(u64::from(config.retry_base_ms)),
        cap: Duration::from_secs(u64::from(config.retry_cap_seconds)),
    }
}

/// `tidewell migrate`.
pub(super) async fn migrate(session: &Session) -> anyhow::Result<()> {
    let url = needed(session.config.database_url.as_deref(), "TIDEWELL_DATABASE_URL")?;
    let shutdown = shutdown::on_signal("")?;
    let pool = db::connect_lazily(url, 2)?;
    let migrating = async {
        database::wait_until_up(url).await?;
        database::migrate(&pool).await?;
        renew(&session.config, &pool).await
    };
    let resealed = tokio::select! {
        migrated = migrating => migrated?,
        () = shutdown.cancelled() => anyhow::bail!("stopped before the database was up to date: run it again"),
    };
    let view = serde_json::json!({
        "migrated": true,
        "reencrypted": resealed.as_ref().map(|resealed| resealed.renewed),
        "unreadable": resealed.as_ref().map(|resealed| &resealed.unreadable),
    });
    session.show(&view, || match &resealed {
        None => "the database is up to date".to_owned(),
        Some(Resealed { renewed, unreadable }) => {
            let renewed = format!("the database is up to date; {renewed} keys and URLs were encrypted anew");
            match unreadable.as_slice() {
                [] => format!("{renewed}, and TIDEWELL_PREVIOUS_SECRET is not needed any more"),
                these => format!("{renewed}; neither secret decrypts what is stored for {}", these.join(", ")),
            }
        }
    })
}

/// While the secret is being changed, encrypts anew what the one before has encrypted.
async fn renew(config: &Config, pool: &PgPool) -> anyhow::Result<Option<Resealed>> {
    let (Some(secret), Some(previous)) = (&config.secret, &config.previous_secret) else { return Ok(None) };
    let resealed = db::reseal::all(pool, &Sealer::new(secret, Some(previous))).await;
    resealed.map(Some).context("what is stored encrypted can't be encrypted anew: run it again")
}

/// `tidewell migrate --print`.
pub(super) fn print_migrations(session: &Session) -> anyhow::Result<()> {
    let script = db::provision::script();
    session.show(&serde_json::json!({ "sql": script }), || script.clone())
}

/// What both processes need; `None` where they were told to stop before the database was there.
async fn services(
    config: &Config,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<(PgPool, typesense::Client)>> {
    let database_url = needed(config.database_url.as_deref(), "TIDEWELL_DATABASE_URL")?;
    let typesense_url = needed(config.typesense_url.as_deref(), "TIDEWELL_TYPESENSE_URL")?;
    let typesense_key = needed(config.typesense_api_key.as_deref(), "TIDEWELL_TYPESENSE_API_KEY")?;
    let typesense = typesense::Client::new(typesense_url, typesense_key)?;
    let pool = db::connect_lazily(database_url, config.database_connections)?;
    let ready = async {
        database::wait_until_up(database_url).await?;
        database::refuse_unmigrated(&pool).await
    };
    tokio::select! {
        ready = ready => ready?,
        () = shutdown.cancelled() => return Ok(None),
    }
    Ok(Some((pool, typesense)))
}

fn needed<'a>(setting: Option<&'a str>, name: &str) -> anyhow::Result<&'a str> {
    setting.with_context(|| format!("{name} is not set (`tidewell dev` brings servers of its own)"))
}

/// What one signs in to the console with.
pub(super) struct ConsoleKeys {
    operator: Option<Sensitive>,
    viewer: Option<Sensitive>,
}

impl ConsoleKeys {
    pub(super) fn of(config: &Config, operator_key: Option<&str>) -> Self {
        Self { operator: operator_key.map(Sensitive::new), viewer: config.viewer_key.as_ref().map(Sensitive::new) }
    }
}

/// Serves until `shutdown` and a delay more, in which whoever asks is told that this is about to stop; then lets the answers under way
/// end.
pub(super) async fn front_end(
    listener: TcpListener,
    state: http::State,
    keys: ConsoleKeys,
    bounds: Bounds,
    shutdown: CancellationToken,
) {
    state.show();
    let stop = CancellationToken::new();
    let console = console::Options {
        api: http::api(state.clone()),
        pool: state.pool.clone(),
        operator_key: keys.operator,
        viewer_key: keys.viewer,
        shutdown: shutdown.clone(),
    };
    let routes = http::served(console::beside_api(console), &state, bounds.requests);
    let serving = http::listen::serve(listener, routes, bounds.connections, stop.clone());
    let out_of_patience = async {
        shutdown.cancelled().await;
        state.retire();
        tokio::time::sleep(bounds.shutdown_delay).await;
        stop.cancel();
        tokio::time::sleep(DRAIN).await;
    };
    let ended = CancellationToken::new();
    let serving = async {
        let _ended = ended.clone().drop_guard();
        tokio::select! {
            () = serving => {}
            () = out_of_patience => tracing::warn!("some answers took too long and were cut off"),
        }
    };
    // Its last look comes after the last answer.
    tokio::join!(serving, state.keep_books(ended.clone()), state.keep_fresh(ended.clone()));
}

/// How much the front end does at a time, and how long it goes on once it is told to stop.
pub(super) struct Bounds {
    connections: http::listen::Bounds,
    requests: usize,
    shutdown_delay: Duration,
}

pub(super) fn bounds(config: &Config) -> Bounds {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let connections = http::listen::Bounds {
        connections: config.connections as usize,
        idle: seconds(config.idle_seconds),
        head: seconds(config.head_seconds),
        stall: seconds(config.stall_seconds),
    };
    Bounds {
        connections,
        requests: config.requests_at_once as usize,
        shutdown_delay: seconds(config.shutdown_delay_seconds),
    }
}

pub(super) fn limits(config: &Config) -> http::Limits {
    http::Limits {
        body_bytes_in_flight: (config.body_mb_in_flight as usize) << 20,
        backlog: i64::from(config.backlog_limit),
        waits: (config.requests_at_once as usize / 4).max(1),
        stall: Duration::from_secs(u64::from(config.stall_seconds)),
    }
}

pub(super) fn worker_options(config: &Config, name: String) -> worker::Options {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let millis = |millis: u32| Duration::from_millis(u64::from(millis));
    worker::Options {
        name,
        import_lines: config.import_lines as usize,
        import_bytes: (config.import_kb as usize) << 10,
        max_concurrency: config.import_concurrency as usize,
        import_timeout: seconds(config.import_timeout_seconds),
        lease: seconds(config.lease_seconds),
        doubt: seconds(config.doubt_seconds),
        backoff: backoff(config),
        poll: millis(config.poll_ms),
        versions_kept: seconds(config.versions_kept_hours * 3600),
        verify_every: (config.verify_hours > 0).then(|| seconds(config.verify_hours * 3600)),
        sync: worker::SyncOptions {
            schedule_every: config
                .athena_typesense_sync_worker_enabled
                .then(|| millis(config.athena_typesense_sync_worker_poll_ms)),
            runs_at_once: config.sync_runs_at_once as usize,
            imports_at_once: config.sync_imports_at_once as usize,
            live_wal_limit: i64::from(config.live_wal_limit_mb) << 20,
        },
        keep: Keep {
            jobs: seconds(config.jobs_kept_hours * 3600),
            tombstones: seconds(config.tombstones_kept_hours * 3600),
            acts: seconds(config.acts_kept_days * 86_400),
            sync_runs: seconds(config.sync_runs_kept_days * 86_400),
            embeddings: i64::from(config.embeddings_kept),
        },
    }
}
