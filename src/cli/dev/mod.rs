//! `tidewell dev`: everything on this machine in one process, servers included, and stopped together.

mod backend;
mod banner;
mod catalogue;
mod demo;
pub(super) mod files;
mod listen;
mod products;
mod source;
mod table_sync;

use std::{path::Path, time::Duration};

use sqlx::PgPool;
use tidewell::{
    config,
    db::{self, sync::job::Job},
    dev::{Options, PostgresOptions, Servers, TypesenseOptions, default_cache},
    domain::{backend::PlainHttp, seal::Sealer},
    http, metrics, typesense, worker,
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::files::{DevJson, Secrets};
use super::{Session, database, process, sealing, shutdown};

/// Everything that `dev` keeps, in the current folder.
pub(super) const FOLDER: &str = ".tidewell";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Delete the data in .tidewell first
    #[arg(long, conflicts_with = "down")]
    fresh: bool,
    /// The port of the API [default: that of TIDEWELL_LISTEN, 8700]
    #[arg(long)]
    port: Option<u16>,
    /// Make no demo: no organization with its index and keys, no table with its sync job
    #[arg(long)]
    no_demo: bool,
    /// Stop the servers that a crash has left running, and do nothing else
    #[arg(long)]
    down: bool,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<()> {
    let folder = Path::new(FOLDER);
    if args.down {
        return down(session, folder).await;
    }
    let shutdown = shutdown::on_signal("; servers that are left running are stopped by `tidewell dev --down`")?;
    // First of all: a port that is taken is better told before anything has been started.
    let listener = listen::on(session.config.listen, args.port, folder)?;
    let config = &session.config;
    let options = Options {
        cache: config.cache.clone().unwrap_or_else(|| default_cache(config::home_folder().as_deref())),
        dir: folder.to_owned(),
        fresh: args.fresh,
        postgres: config.database_url.is_none().then(PostgresOptions::default),
        typesense: config.typesense_url.is_none().then(TypesenseOptions::default),
    };
    let started = tokio::select! {
        servers = Servers::start(&options) => Some(servers?),
        () = shutdown.cancelled() => None,
    };
    let Some(mut servers) = started else {
        // Those that were half started have been told to end: this waits until they have.
        Servers::down(folder).await?;
        return Ok(());
    };
    let outcome = live(session, args, listener, &mut servers, &shutdown).await;
    let stopped = servers.stop().await;
    outcome?;
    Ok(stopped?)
}

async fn down(session: &Session, folder: &Path) -> anyhow::Result<()> {
    let stopped = Servers::down(folder).await?;
    let view = serde_json::json!({ "stopped": { "postgres": stopped.postgres, "typesense": stopped.typesense } });
    session.show(&view, || {
        let servers = [("PostgreSQL", stopped.postgres), ("Typesense", stopped.typesense)];
        let stopped = servers.iter().filter_map(|(name, pid)| pid.map(|pid| format!("stopped {name} (process {pid})")));
        let stopped: Vec<String> = stopped.collect();
        if stopped.is_empty() { "no server of this folder was running".to_owned() } else { stopped.join("\n") }
    })
}

/// All that happens between the start of the servers and their stop.
async fn live(
    session: &Session,
    args: &Args,
    listener: TcpListener,
    servers: &mut Servers,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let folder = Path::new(FOLDER);
    DevJson::remove(folder)?;
    if args.fresh {
        Secrets::remove(folder)?;
    }
    let mut secrets = Secrets::open(folder)?;
    let place = place(session, servers, &secrets, &listener)?;
    let pool = db::connect_lazily(&place.database_url, session.config.database_connections)?;
    let preparing = async {
        database::wait_until_up(&place.database_url).await?;
        database::migrate(&pool).await
    };
    tokio::select! {
        prepared = preparing => prepared?,
        () = shutdown.cancelled() => return Ok(()),
    }
    let ours = format!("dev-{}-", secrets.folder_id);
    take_over(&pool, &ours).await?;
    let master = session.config.secret.as_ref().unwrap_or(&secrets.secret);
    let sealer = Sealer::new(master, session.config.previous_secret.as_deref());
    backend::register(&pool, &sealer, &place).await?;

    let stop = shutdown.child_token();
    let worker = format!("{ours}{}", std::process::id());
    let mut processes = processes(session, &place, master, listener, pool.clone(), worker.clone(), &stop)?;
    let until_told = async {
        let demo = match args.no_demo {
            true => None,
            false => Some(demo(session, &pool, &sealer, &place, &mut secrets, shutdown).await?),
        };
        if !shutdown.is_cancelled() {
            place.keep(folder)?;
            banner::print(session, &place, demo.as_ref())?;
        }
        shutdown.cancelled().await;
        anyhow::Ok(())
    };
    let living = async {
        let mut outcome = tokio::select! {
            told = until_told => told,
            fault = keep_up(servers) => fault,
            ended = ended(&mut processes) => ended,
        };
        stop.cancel();
        while !processes.is_empty() {
            outcome = outcome.and(ended(&mut processes).await);
        }
        outcome
    };
    let outcome = session.journal.beside(&pool, &worker, living).await;
    pool.close().await;
    DevJson::remove(folder)?;
    outcome
}

/// What there is to play with.
struct Demo {
    keys: demo::Keys,
    /// The job that syncs a table, where it could be made.
    sync: Option<Job>,
}

/// Makes both halves of the demo side by side. Without the table a start is as good as with it.
async fn demo(
    session: &Session,
    pool: &PgPool,
    sealer: &Sealer,
    place: &DevJson,
    secrets: &mut Secrets,
    shutdown: &CancellationToken,
) -> anyhow::Result<Demo> {
    let is_embedded = session.config.database_url.is_none();
    let sync = async {
        tokio::select! {
            made = table_sync::make(pool, sealer, place, is_embedded) => {
                made.inspect_err(|error| tracing::warn!("there is no demo of table sync: {error:#}")).ok()
            }
            () = shutdown.cancelled() => None,
        }
    };
    let keys = demo::make(pool, &session.config, Path::new(FOLDER), secrets, shutdown);
    let (keys, sync) = tokio::join!(keys, sync);
    Ok(Demo { keys: keys?, sync })
}

/// Takes what dead processes of this folder have left behind. It is locked, so none of them lives.
async fn take_over(pool: &PgPool, workers: &str) -> Result<(), sqlx::Error> {
    let released = db::worker::release_all(pool, workers).await?;
    if released > 0 {
        tracing::info!(released, "took over what a dead process held");
    }
    db::worker::forget_all(pool, workers).await
}

/// The front end and the workers, each on connections of its own, as they are where they run apart.
fn processes(
    session: &Session,
    place: &DevJson,
    master_secret: &str,
    listener: TcpListener,
    pool: PgPool,
    worker: String,
    stop: &CancellationToken,
) -> anyhow::Result<JoinSet<()>> {
    metrics::install()?;
    let config = &session.config;
    let typesense = typesense::Client::new(&place.typesense_url, &place.typesense_api_key)?;
    let secrets = http::Secrets {
        operator_key: Some(&place.operator_key),
        master: Some(master_secret),
        previous_master: config.previous_secret.as_deref(),
    };
    let plain_http = sealing::plain_http(config, PlainHttp::OnThisMachine);
    let embedders = process::embedders(config)?;
    let state =
        http::State::new(pool, typesense.clone(), secrets, process::limits(config), plain_http, embedders.clone());
    let pool = db::connect_lazily(&place.database_url, config.database_connections)?;
    let options = process::worker_options(config, worker);
    let sealer = Sealer::new(master_secret, config.previous_secret.as_deref());
    let keys = process::ConsoleKeys::of(config, Some(&place.operator_key));
    let mut processes = JoinSet::new();
    processes.spawn(process::front_end(listener, state, keys, process::bounds(config), stop.clone()));
    let stop = stop.clone();
    processes.spawn(async move {
        worker::run(pool.clone(), typesense, Some(sealer), embedders, options, stop).await;
        pool.close().await;
    });
    Ok(processes)
}

/// The end of the next of them, early or not.
async fn ended(processes: &mut JoinSet<()>) -> anyhow::Result<()> {
    match processes.join_next().await {
        Some(ended) => Ok(ended?),
        None => Ok(()),
    }
}

/// Starts servers again that die; ends only where one can't be started.
async fn keep_up(servers: &mut Servers) -> anyhow::Result<()> {
    const LOOK: Duration = Duration::from_secs(1);
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some(postgres) = &mut servers.postgres
            && !postgres.is_running()
        {
            tracing::warn!("PostgreSQL has died: starting it again");
            postgres.start_again_on_same_port().await?;
        }
        if let Some(typesense) = &mut servers.typesense
            && !typesense.is_running()
        {
            tracing::warn!("Typesense has died: starting it again");
            typesense.start_again_on_same_port().await?;
        }
    }
}

/// Where everything is: the settings where they say so, else the embedded servers.
fn place(session: &Session, servers: &Servers, secrets: &Secrets, listener: &TcpListener) -> anyhow::Result<DevJson> {
    let config = &session.config;
    let database_url = config.database_url.clone().or_else(|| Some(servers.postgres.as_ref()?.url()));
    let typesense_url = config.typesense_url.clone().or_else(|| Some(servers.typesense.as_ref()?.url()));
    // A key that stands in the settings without a URL belongs to no embedded server.
    let typesense_api_key = match &servers.typesense {
        Some(typesense) => Some(typesense.api_key().to_owned()),
        None => config.typesense_api_key.clone(),
    };
    Ok(DevJson {
        api_url: listen::url(listener.local_addr()?),
        operator_key: config.athena_key_12.clone().unwrap_or_else(|| secrets.operator_key.clone()),
        database_url: database_url.unwrap_or_default(),
        typesense_url: typesense_url.unwrap_or_default(),
        typesense_api_key: typesense_api_key.unwrap_or_default(),
    })
}
