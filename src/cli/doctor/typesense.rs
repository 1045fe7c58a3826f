//! The Typesense that is projected into, and the backends of table syncs: reachable, known, with room, and holding what they should.

use std::collections::{HashMap, HashSet};

use sqlx::PgPool;
use tidewell::{
    backend::{self, NodeState},
    db::{self, profile::Profile},
    typesense::Client,
};

use super::finding::{Finding, listed};
use crate::cli::Session;

/// The release that Tidewell is tested with.
const TESTED: &str = "0.24.1";
/// More of a disk or a memory in use leaves no room for a reindex.
const FULL: f64 = 0.9;
/// Backends that are looked at.
const MANY: i64 = 1000;

/// The Typesense of the settings, whatever the database says.
pub(super) async fn check(session: &Session) -> Vec<Finding> {
    match session.typesense() {
        Err(error) => {
            vec![Finding::problem("typesense", format!("{error:#}"), "set both settings, and run this again")]
        }
        Ok(client) => look("typesense", &client).await,
    }
}

/// What the database says of Typesense: the collections of indexes, and the backends of table syncs.
pub(super) async fn check_recorded(session: &Session, pool: &PgPool) -> Vec<Finding> {
    let mut findings = match session.typesense() {
        Err(error) => vec![Finding::unknown("collections", format!("{error:#}"))],
        Ok(client) => collections(&client, pool).await,
    };
    match db::profile::list(pool, None, MANY).await {
        Err(error) => findings.push(Finding::unknown("backend", error)),
        Ok(profiles) => {
            for profile in profiles {
                findings.extend(backend(session, &profile).await);
            }
        }
    }
    findings
}

async fn backend(session: &Session, profile: &Profile) -> Vec<Finding> {
    let opened = session.sealer().and_then(|sealer| Ok(backend::client(profile, &sealer)?));
    let found = match opened {
        Ok(client) => look("backend", &client).await,
        Err(error) => vec![Finding::problem(
            "backend",
            format!("{error:#}"),
            "run this with the deployment's secrets, or give the backend its key again: `tidewell backend update`",
        )],
    };
    let named = found.into_iter().map(|finding| match &finding.subject {
        None => finding.of(&profile.name),
        Some(node) => {
            let subject = format!("{} {node}", profile.name);
            finding.of(subject)
        }
    });
    named.collect()
}

/// Whether it can be used, and each of its nodes.
async fn look(check: &'static str, client: &Client) -> Vec<Finding> {
    let inspected = match backend::test(client).await {
        Ok(inspected) => inspected,
        Err(refusal) => {
            let remedy = "start it, or mend its address or key; writes are kept and projected once it is back";
            return vec![Finding::problem(check, refusal.to_string(), remedy)];
        }
    };
    let mut findings = vec![Finding::ok(
        check,
        format!("it answers in {} ms and takes the key; {} collections", inspected.latency_ms, inspected.collections),
    )];
    findings.push(match &inspected.version {
        Some(version) if version == TESTED => Finding::ok("typesense_version", version),
        Some(version) => Finding::warning(
            "typesense_version",
            format!("{version}: Tidewell was run with {TESTED} alone"),
            format!("use {TESTED}, or try this release out first"),
        ),
        None => Finding::unknown("typesense_version", "no node tells"),
    });
    findings.extend(inspected.nodes.iter().map(node));
    for (url, node) in client.each_node() {
        if inspected.nodes.iter().any(|state| state.url == url && state.healthy) {
            findings.push(room(&node).await.of(url));
        }
    }
    findings
}

fn node(node: &NodeState) -> Finding {
    match &node.error {
        None => Finding::ok("typesense_node", "healthy"),
        Some(error) => Finding::warning(
            "typesense_node",
            error.as_str(),
            "start it again: without a majority of its nodes a cluster takes no writes",
        ),
    }
    .of(&node.url)
}

async fn room(node: &Client) -> Finding {
    const CHECK: &str = "typesense_room";
    match node.room().await {
        Err(error) => Finding::unknown(CHECK, error),
        Ok(None) => Finding::unknown(CHECK, "the node does not tell"),
        Ok(Some(room)) => {
            let percent = |share: f64| (share * 100.0).round();
            let found = format!(
                "{} % of its machine's disk and {} % of its memory are in use",
                percent(room.disk_used),
                percent(room.memory_used)
            );
            match room.disk_used.max(room.memory_used) < FULL {
                true => Finding::ok(CHECK, found),
                false => Finding::warning(
                    CHECK,
                    found,
                    "give it more: Typesense keeps its indexes in memory, and a reindex needs room for a second one",
                ),
            }
        }
    }
}

/// Whether each index's collection is there, its alias points at it, and it can be written to.
async fn collections(client: &Client, pool: &PgPool) -> Vec<Finding> {
    const CHECK: &str = "collections";
    let wanted = match db::index::aliases(pool).await {
        Ok(wanted) => wanted,
        Err(error) => return vec![Finding::unknown(CHECK, error)],
    };
    let (held, aliases) = match futures::future::try_join(client.list_collections(), client.aliases()).await {
        Ok((held, aliases)) => (held, aliases.into_iter().collect::<HashMap<_, _>>()),
        Err(error) => return vec![Finding::unknown(CHECK, error)],
    };
    let held: HashSet<String> = held.into_iter().map(|collection| collection.name).collect();
    let missing = wanted.iter().filter(|(.., collection)| !held.contains(collection));
    let missing: Vec<String> = missing.map(|(_, _, collection)| collection.clone()).collect();
    let astray = wanted.iter().filter(|(_, alias, collection)| aliases.get(alias) != Some(collection));
    let astray: Vec<String> = astray.map(|(_, alias, _)| alias.clone()).collect();
    let mut findings = vec![match (missing.as_slice(), astray.as_slice()) {
        ([], []) => Finding::ok(CHECK, format!("{} indexes have their collection and alias", wanted.len())),
        ([], _) => Finding::warning(
            CHECK,
            format!("these aliases do not point where they should: {}", listed(&astray)),
            "workers mend that within seconds: if it stays, look at their log",
        ),
        _ => Finding::problem(
            CHECK,
            format!("Typesense has lost {}", listed(&missing)),
            "write what they held again: `tidewell index verify INDEX --repair` for each",
        ),
    }];
    if let Some((.., collection)) = wanted.iter().find(|(.., collection)| held.contains(collection)) {
        findings.push(may_write(client, collection).await);
    }
    findings
}

/// By a write that changes nothing.
async fn may_write(client: &Client, collection: &str) -> Finding {
    const CHECK: &str = "typesense_key";
    match client.caught_up(collection).await {
        Ok(_) => Finding::ok(CHECK, "the key may write"),
        Err(error) if matches!(error.status_code(), Some(401 | 403)) => Finding::problem(
            CHECK,
            "the key may look and not write",
            "set TIDEWELL_TYPESENSE_API_KEY to one that may do everything with collections, aliases and documents",
        ),
        Err(error) => Finding::unknown(CHECK, error),
    }
}
