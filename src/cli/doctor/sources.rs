//! The databases that tables are read from: reachable, and able to be followed where a live job follows them.

use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        checkup::{self, Replication},
        client::SourceClient,
        sync::live,
    },
    source::Source,
};

use super::finding::{Finding, judged};
use crate::cli::Session;

/// Clients that are looked at.
const MANY: i64 = 1000;

pub(super) async fn check(session: &Session, pool: &PgPool) -> Vec<Finding> {
    let asked = futures::future::try_join3(
        db::client::list(pool, None, MANY),
        checkup::followed_clients(pool),
        live::slots(pool),
    );
    let (clients, followed, slots) = match asked.await {
        Ok(asked) => asked,
        Err(error) => return vec![Finding::unknown("client", error)],
    };
    let limit = i64::from(session.config.live_wal_limit_mb) << 20;
    let mut findings = Vec::new();
    for client in clients {
        let mut source = match open(session, &client).await {
            Ok(source) => source,
            Err(error) => {
                let remedy =
                    "start it, mend its URL (`tidewell client update`), or run this with the deployment's secrets";
                findings.push(Finding::problem("client", format!("{error:#}"), remedy).of(&client.name));
                continue;
            }
        };
        findings.push(Finding::ok("client", "it answers").of(&client.name));
        if followed.contains(&client.name) {
            let found = checkup::replication(source.connection()).await;
            findings.push(judged("replication", found, |found| replication(&found)).of(&client.name));
        }
        let idle = match checkup::idle_slots(source.connection()).await {
            Ok(idle) => idle,
            Err(error) => {
                findings.push(Finding::unknown("replication_slot", error).of(&client.name));
                continue;
            }
        };
        for (name, bytes) in idle {
            let is_known = slots.iter().any(|slot| slot.name == name && slot.client_id == client.id && slot.is_wanted);
            let subject = format!("{} {name}", client.name);
            findings.push(idle_slot(&name, bytes, is_known, limit).of(subject));
        }
        source.close().await;
    }
    findings
}

async fn open(session: &Session, client: &SourceClient) -> anyhow::Result<Source> {
    let url = client.url(&session.sealer()?)?;
    Ok(Source::connect(url.expose()).await?)
}

fn replication(found: &Replication) -> Finding {
    const CHECK: &str = "replication";
    let Replication { slots_used, slots_allowed, senders_allowed, .. } = found;
    let no_room =
        format!("{slots_used} of {slots_allowed} slots are in use, and {senders_allowed} senders are allowed");
    if found.wal_level != "logical" {
        let remedy = "run `alter system set wal_level = logical` at the source and restart it";
        return Finding::problem(CHECK, format!("wal_level is {}: no live job can follow", found.wal_level), remedy);
    }
    if !found.may_replicate {
        return Finding::problem(CHECK, "the role may not replicate", "run `alter role … replication` at the source");
    }
    match slots_used < slots_allowed && *senders_allowed > 0 {
        true => Finding::ok(CHECK, no_room),
        false => Finding::warning(
            CHECK,
            no_room,
            "raise max_replication_slots and max_wal_senders at the source before another live job is made",
        ),
    }
}

/// A slot that nobody reads at this moment.
fn idle_slot(name: &str, bytes: i64, is_known: bool, limit: i64) -> Finding {
    const CHECK: &str = "replication_slot";
    let found = format!("nobody reads it, and it holds back {:.1} MB of the source's log", bytes as f64 / 1e6);
    if !is_known {
        return Finding::warning(
            CHECK,
            format!("{found}; no live job here wants it"),
            format!(
                "unless it is another Tidewell's, drop it at the source: `select pg_drop_replication_slot('{name}')`"
            ),
        );
    }
    match bytes < limit {
        true => Finding::ok(CHECK, found),
        false => Finding::warning(CHECK, found, "start `tidewell work`: past the limit its workers drop the slot"),
    }
}
