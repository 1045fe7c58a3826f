//! The ways into a source: by each kind of password, with TLS and without, as strict as the URL asks for.

use sqlx::AssertSqlSafe;
use tidewell::replication::{Error, Options, Stream};

use super::source::{PATIENCE, Source, key, through};
use crate::support::{eventually, servers::own_postgres};

const TABLE: &str = "create table things (id bigint primary key)";

/// The address with another user, password and host, and with this behind it.
fn with(url: &str, login: &str, host: &str, query: &str) -> String {
    let port_and_path = url.rsplit_once('@').and_then(|(_, place)| place.split_once(':')).expect("a host and a port").1;
    format!("postgres://{login}@{host}:{port_and_path}?{query}")
}

/// Has the server write a file into its data folder, which nobody else may read.
async fn write(source: &mut Source, name: &str, content: &str) {
    let write = format!(
        "copy (select regexp_split_to_table($file${content}$file$, '\\n')) to program 'umask 77; cat > {name}'"
    );
    source.run(&write).await;
}

async fn enter(source: &Source, url: &str) -> Result<Stream, Error> {
    Stream::open(url, &source.target, &Options::default()).await
}

#[tokio::test]
async fn each_kind_of_password_opens_the_door() {
    let servers = own_postgres().await;
    let mut source = Source::at(servers.fresh_database().await, TABLE, &["id"]).await;
    source.prepare_anew().await;
    let kinds = [("md5", "md5"), ("scram-sha-256", "scram-sha-256"), ("scram-sha-256", "password")];
    let mut rules = String::new();
    for (n, (kept_as, asked_by)) in kinds.into_iter().enumerate() {
        source
            .run(&format!("set password_encryption = '{kept_as}'; create role r{n} login replication password 'p@ß w'"))
            .await;
        rules += &format!("host all r{n} all {asked_by}\n");
    }
    write(&mut source, "pg_hba.conf", &format!("{rules}host all all all scram-sha-256")).await;
    source.run("select pg_reload_conf()").await;
    for n in 0..kinds.len() {
        let url = with(&source.url, &format!("r{n}:p%40%C3%9F%20w"), "127.0.0.1", "");
        eventually(PATIENCE, || async { enter(&source, &url).await.map(drop) }).await;
        let wrong = with(&source.url, &format!("r{n}:wrong"), "127.0.0.1", "");
        let error = enter(&source, &wrong).await.err().expect("a refusal");
        assert!(matches!(error, Error::NotLetIn(_)), "{error:?}");
    }
}

#[tokio::test]
async fn the_url_says_how_far_the_server_is_trusted() {
    let servers = own_postgres().await;
    let mut source = Source::at(servers.fresh_database().await, TABLE, &["id"]).await;
    source.prepare_anew().await;
    let login = source.url.trim_start_matches("postgres://").rsplit_once('@').expect("a login").0.to_owned();
    let required = with(&source.url, &login, "127.0.0.1", "sslmode=require");
    let error = enter(&source, &required).await.err().expect("a refusal");
    assert!(matches!(error, Error::NotLetIn(_)), "{error:?}");

    // A certificate for 127.0.0.1 alone, of an authority that no system knows.
    write(&mut source, "server.crt", include_str!("tls/server.pem")).await;
    write(&mut source, "server.key", include_str!("tls/server.key")).await;
    source.run("alter system set ssl = on").await;
    source.run("select pg_reload_conf()").await;
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replication/tls/authority.pem");
    let root = format!("sslrootcert={authority}");
    let cases = [
        ("127.0.0.1", "sslmode=require".to_owned(), Some(true)),
        ("127.0.0.1", "sslmode=prefer".to_owned(), Some(true)),
        ("127.0.0.1", "sslmode=disable".to_owned(), Some(false)),
        ("127.0.0.1", format!("sslmode=verify-full&{root}"), Some(true)),
        ("localhost", format!("sslmode=verify-ca&{root}"), Some(true)),
        ("localhost", format!("sslmode=verify-full&{root}"), None),
        ("127.0.0.1", "sslmode=verify-ca".to_owned(), None),
    ];
    eventually(PATIENCE, || async { enter(&source, &required).await.map(drop) }).await;
    for (n, (host, query, is_secured)) in cases.into_iter().enumerate() {
        let url = with(&source.url, &login, host, &query);
        let Some(is_secured) = is_secured else {
            let error = enter(&source, &url).await.err().expect("a refusal");
            assert!(matches!(error, Error::NotLetIn(_)), "{host} {query}: {error:?}");
            continue;
        };
        // The one before may still be letting go.
        let mut stream = eventually(PATIENCE, || enter(&source, &url)).await;
        let look =
            "select bool_and(ssl) from pg_stat_replication join pg_stat_ssl using (pid) where application_name = $1";
        let found: Option<bool> = sqlx::query_scalar(AssertSqlSafe(look))
            .bind(&source.target.name)
            .fetch_one(&mut source.admin)
            .await
            .expect("an answer");
        assert_eq!(found, Some(is_secured), "{host} {query}");
        source.run(&format!("insert into things values ({n})")).await;
        through(&mut stream, key([&n.to_string()])).await;
        stream.close().await;
    }
}
