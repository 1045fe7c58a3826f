//! The servers that the tests run on: one pair for each test process, on ports and with data of its own, gone with it
//! however it ends; or the user's own, where the settings name them.

use std::{
    env::var_os,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tidewell::dev::{Options, Postgres, PostgresOptions, Servers, Typesense, TypesenseOptions, default_cache};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Databases of tests have names with this prefix, then a UUID that tells when they were made.
const DATABASE: &str = "tidewell_test_";

/// What the shared servers are reached by.
pub struct TestServers {
    pub admin_url: String,
    pub typesense_url: String,
    pub typesense_api_key: String,
    /// Keeps them running; bound to no runtime, for each test has its own.
    _embedded: (Servers, Folder),
}

/// The servers that all tests of this process share.
pub async fn servers() -> &'static TestServers {
    static SERVERS: OnceCell<TestServers> = OnceCell::const_new();
    SERVERS.get_or_init(TestServers::start).await
}

impl TestServers {
    async fn start() -> Self {
        let database_url = setting("TIDEWELL_DATABASE_URL");
        let typesense_url = setting("TIDEWELL_TYPESENSE_URL");
        let folder = Folder::make("servers");
        let servers = start(&folder, database_url.is_none(), typesense_url.is_none()).await;
        if let Some(url) = &database_url {
            drop_databases_of_dead_tests(url).await;
        }
        Self {
            admin_url: database_url.unwrap_or_else(|| postgres(&servers).url()),
            typesense_api_key: match &typesense_url {
                Some(_) => setting("TIDEWELL_TYPESENSE_API_KEY").expect("TIDEWELL_TYPESENSE_API_KEY beside the URL"),
                None => typesense(&servers).api_key().to_owned(),
            },
            typesense_url: typesense_url.unwrap_or_else(|| typesense(&servers).url()),
            _embedded: (servers, folder),
        }
    }

    /// The address of a new, empty database.
    pub async fn fresh_database(&self) -> String {
        fresh_database(&self.admin_url).await
    }
}

/// A pair of servers for one test that stops them and starts them again; gone when this is dropped.
pub struct OwnServers {
    servers: Servers,
    _folder: Folder,
}

/// A new pair of embedded servers, whatever the settings say: nobody else's may be stopped.
pub async fn own_servers() -> OwnServers {
    let folder = Folder::make("servers");
    OwnServers { servers: start(&folder, true, true).await, _folder: folder }
}

/// As [`own_servers`], of PostgreSQL alone.
pub async fn own_postgres() -> OwnServers {
    let folder = Folder::make("servers");
    OwnServers { servers: start(&folder, true, false).await, _folder: folder }
}

/// As [`own_servers`], with a PostgreSQL that keeps what it has committed on disk, as one in production does.
pub async fn durable_servers() -> OwnServers {
    let folder = Folder::make("servers");
    OwnServers { servers: start_with(&folder, Some(true), true).await, _folder: folder }
}

impl OwnServers {
    pub fn typesense_url(&self) -> String {
        typesense(&self.servers).url()
    }

    pub fn typesense_api_key(&self) -> String {
        typesense(&self.servers).api_key().to_owned()
    }

    /// The address of a new, empty database.
    pub async fn fresh_database(&self) -> String {
        fresh_database(&postgres(&self.servers).url()).await
    }

    pub async fn stop_typesense(&mut self) {
        self.servers.typesense.as_mut().expect("started").stop().await.expect("Typesense stops");
    }

    /// Where it was.
    pub async fn start_typesense(&mut self) {
        let typesense = self.servers.typesense.as_mut().expect("started");
        typesense.start_again_on_same_port().await.expect("Typesense starts again");
    }

    /// As a crash does it: killed, and started again where it was.
    pub async fn restart_postgres(&mut self) {
        let postgres = self.servers.postgres.as_mut().expect("started");
        postgres.kill().await.expect("PostgreSQL is killed");
        postgres.start_again_on_same_port().await.expect("PostgreSQL starts again");
    }
}

fn postgres(servers: &Servers) -> &Postgres {
    servers.postgres.as_ref().expect("started")
}

fn typesense(servers: &Servers) -> &Typesense {
    servers.typesense.as_ref().expect("started")
}

async fn start(folder: &Folder, postgres: bool, typesense: bool) -> Servers {
    start_with(folder, postgres.then_some(false), typesense).await
}

/// `postgres`: whether it is to survive a power cut, where it is started.
async fn start_with(folder: &Folder, postgres: Option<bool>, typesense: bool) -> Servers {
    let home = var_os("HOME").map(PathBuf::from);
    let settings = [
        ("max_connections", "500"),
        ("wal_level", "logical"),
        // One for each test that follows a table.
        ("max_replication_slots", "200"),
        ("max_wal_senders", "200"),
    ];
    let options = Options {
        cache: var_os("TIDEWELL_CACHE").map_or_else(|| default_cache(home.as_deref()), PathBuf::from),
        dir: folder.path.clone(),
        fresh: false,
        postgres: postgres.map(|fsync| PostgresOptions {
            fsync,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }),
        typesense: typesense.then(TypesenseOptions::default),
    };
    Servers::start(&options).await.unwrap_or_else(|error| panic!("the servers for the tests: {error}"))
}

fn setting(name: &str) -> Option<String> {
    var_os(name).filter(|value| !value.is_empty()).map(|value| value.into_string().expect("UTF-8"))
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap_or_else(|error| panic!("the database of the tests: {error}"))
}

async fn fresh_database(admin_url: &str) -> String {
    let name = format!("{DATABASE}{}", Uuid::now_v7().simple());
    let mut admin = connect(admin_url).await;
    sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.expect("a new database");
    admin.close().await.expect("an end");
    with_database(admin_url, &name)
}

/// The address of another database on the same server.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let host = address.find("://").expect("a URL") + "://".len();
    let end = address[host..].find('/').map_or(address.len(), |slash| host + slash);
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!("{}/{name}{query}", &address[..end])
}

/// On a server that outlives its tests, their databases do too: those unused and older than a few hours go, and their slots.
async fn drop_databases_of_dead_tests(admin_url: &str) {
    const OLD: &str = "select datname from pg_database d
        where case when datname ~ ('^' || $1 || '[0-9a-f]{32}$')
              then ('x0000' || substr(datname, length($1) + 1, 12))::bit(64)::bigint
                 < extract(epoch from now() - interval '6 hours') * 1000
              else false end
          and not exists (select from pg_stat_activity a where a.datname = d.datname)";
    let mut admin = connect(admin_url).await;
    let old: Vec<String> = sqlx::query_scalar(OLD).bind(DATABASE).fetch_all(&mut admin).await.expect("a list");
    for name in old {
        // Another test process may have been quicker.
        let slots =
            sqlx::query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1");
        let _ = slots.bind(&name).execute(&mut admin).await;
        let drop = AssertSqlSafe(format!("drop database if exists {name}"));
        let _ = sqlx::query(drop).execute(&mut admin).await;
    }
}

/// A folder for servers (or a browser), and the watchdog that kills them and deletes the folder when this is dropped or the process
/// ends in whatever way: it waits for the end of a pipe that only this process holds open.
pub struct Folder {
    pub path: PathBuf,
    watchdog: Child,
}

/// Found by their command lines, servers need be noted nowhere, however often they are started again. As root, in a
/// place that is closed to the servers' user, their folders are links to places elsewhere.
const WATCHDOG: &str = r#"
read -r _
postgres=$(readlink -f "$FOLDER/postgres")
typesense=$(readlink -f "$FOLDER/typesense")
tries=0
while
    for place in "$FOLDER/" "${postgres:-$FOLDER}/" "${typesense:-$FOLDER}/"; do
        for file in $(grep -lF -- "$place" /proc/[0-9]*/cmdline); do
            pid=${file#/proc/}
            kill -9 "${pid%/cmdline}"
        done
    done
    rm -rf "$postgres" "$typesense" "$FOLDER"
    tries=$((tries + 1))
    [ -e "$FOLDER" ] && [ $tries -lt 100 ]
do
    sleep 0.1
done
rmdir "${postgres%/*}"
"#;

impl Folder {
    pub fn make(of: &str) -> Self {
        let name = format!("{of}-{}-{}", std::process::id(), Uuid::new_v4().simple());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG])
            .env_clear()
            .env("FOLDER", &path)
            .env("PATH", var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // What is sent to the test's group, by Ctrl-C or a runner's time-out, doesn't reach it.
            .process_group(0)
            .spawn()
            .expect("sh");
        Self { path, watchdog }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}
