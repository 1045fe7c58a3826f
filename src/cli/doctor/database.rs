//! The control database: the server, the role, and whether the tables are this release's.

use std::time::{Duration, SystemTime};

use sqlx::PgPool;
use tidewell::db::{
    self,
    checkup::{self, Server},
};

use super::finding::{Finding, judged, listed};
use crate::cli::Session;

/// The major version that Tidewell is tested with.
const TESTED: i32 = 18;
/// Connections of a process beside its pool: one that listens for wake-ups or changes.
const BESIDE_POOL: i32 = 1;
/// How far the clocks may be apart.
const SKEW: Duration = Duration::from_secs(2);

pub(super) async fn check(session: &Session, pool: &PgPool) -> Vec<Finding> {
    let before = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let server = checkup::server(pool).await;
    let after = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let mut findings = match &server {
        Err(error) => vec![Finding::unknown("database_server", error)],
        Ok(server) => vec![
            version(server),
            role_of_server(server),
            tls(server),
            durability(server),
            connections(session, server),
            clock(server, before, after),
        ],
    };
    findings.push(match db::fault(pool).await {
        Some(fault) => Finding::problem("migrations", fault, "run `tidewell migrate`, then start `serve` and `work`"),
        None => judged("migrations", checkup::unknown_migrations(pool).await, |unknown| match unknown.as_slice() {
            [] => Finding::ok("migrations", "the tables are up to date"),
            _ => Finding::warning(
                "migrations",
                format!("the database has {} migrations of a newer release", unknown.len()),
                "run that release here too; one release apart is what an upgrade allows for",
            ),
        }),
    });
    findings.push(judged("extensions", checkup::missing_extensions(pool).await, |missing| match missing.as_slice() {
        [] => Finding::ok("extensions", "hstore and pgcrypto are there"),
        _ => Finding::problem(
            "extensions",
            format!("{} missing", listed(&missing)),
            "as the database's owner run `create extension` for each, then `tidewell migrate`",
        ),
    }));
    findings.push(judged("rights", checkup::closed_tables(pool).await, |closed| match closed.as_slice() {
        [] => Finding::ok("rights", "the role may read and write every table"),
        _ => Finding::problem(
            "rights",
            format!("the role may not use {}", listed(&closed)),
            "grant it usage on the schemas, select, insert, update and delete on their tables, and usage on their sequences",
        ),
    }));
    findings
}

fn version(server: &Server) -> Finding {
    match server.version_number / 10_000 {
        TESTED => Finding::ok("database_version", format!("PostgreSQL {}", server.version)),
        _ => Finding::warning(
            "database_version",
            format!("PostgreSQL {}: Tidewell was run with {TESTED} alone", server.version),
            format!("use PostgreSQL {TESTED}, or try this version out first"),
        ),
    }
}

fn role_of_server(server: &Server) -> Finding {
    match server.is_standby {
        false => Finding::ok("database_role", "it takes writes"),
        true => Finding::problem(
            "database_role",
            "it is a standby, and takes no writes",
            "let TIDEWELL_DATABASE_URL name the primary",
        ),
    }
}

fn tls(server: &Server) -> Finding {
    match (server.is_encrypted, server.is_local) {
        (true, _) => Finding::ok("database_tls", "the connection is encrypted"),
        (false, true) => Finding::ok("database_tls", "the database is on this machine"),
        (false, false) => Finding::warning(
            "database_tls",
            "the connection crosses the network in the clear",
            "append ?sslmode=verify-full to TIDEWELL_DATABASE_URL",
        ),
    }
}

fn durability(server: &Server) -> Finding {
    const CHECK: &str = "durability";
    let mut lost = Vec::new();
    if !server.fsync {
        lost.push("fsync is off".to_owned());
    }
    if server.synchronous_commit == "off" {
        lost.push("synchronous_commit is off".to_owned());
    }
    if !server.full_page_writes {
        lost.push("full_page_writes is off".to_owned());
    }
    match lost.is_empty() {
        true => Finding::ok(CHECK, "a commit is on disk before it is answered"),
        false => Finding::problem(
            CHECK,
            format!("{}: a power cut loses writes that were answered 202", lost.join(", ")),
            "switch it on in the server's settings",
        ),
    }
}

fn connections(session: &Session, server: &Server) -> Finding {
    const CHECK: &str = "connections";
    let Server { connections_used: used, connections_allowed: allowed, .. } = *server;
    let each = i32::try_from(session.config.database_connections).unwrap_or(i32::MAX).saturating_add(BESIDE_POOL);
    let found = format!("{used} of {allowed} are in use, and each `serve` and `work` takes up to {each}");
    // One more process, as during a rolling upgrade, must find room.
    match allowed - used >= each {
        true => Finding::ok(CHECK, found),
        false => Finding::warning(
            CHECK,
            found,
            "raise max_connections, or lower TIDEWELL_DATABASE_CONNECTIONS: a process that comes too late gets none",
        ),
    }
}

fn clock(server: &Server, before: Duration, after: Duration) -> Finding {
    let midpoint = (before.as_secs_f64() + after.as_secs_f64()) / 2.0;
    let off = (server.now - midpoint).abs();
    match off < SKEW.as_secs_f64() {
        true => Finding::ok("clock", "this machine's clock and the database's agree"),
        false => Finding::warning(
            "clock",
            format!("this machine's clock and the database's are {off:.0} s apart"),
            "run an NTP client on both: leases and windows are the database's, but logs and certificates are not",
        ),
    }
}
