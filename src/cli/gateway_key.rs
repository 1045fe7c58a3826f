//! `tidewell key gateway`: keys for Athena's routes, which are no organization's.

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::{
    db::{self, gateway_key::GatewayKey},
    domain::{key::Right, secret::new_gateway_key},
};
use uuid::Uuid;

use super::{
    Session, key, organization,
    output::{maybe_time, record, table},
    page::PageArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a gateway key; its secret is shown this once
    Create(Create),
    /// List gateway keys, newest first
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Revoke a gateway key, for ever
    Revoke {
        /// Its id
        key: Uuid,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name for people
    name: String,
    /// What it may do, with commas: gateway.typesense_proxy [default: all]
    #[arg(long, value_name = "RIGHTS", value_parser = parse_right, value_delimiter = ',')]
    rights: Vec<Right>,
    /// When it stops working, such as 2030-01-01T00:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<DateTime<Utc>>,
}

fn parse_right(text: &str) -> Result<Right, String> {
    let names = Right::ALL.map(Right::as_str).join(", ");
    Right::ALL.into_iter().find(|right| right.as_str() == text).ok_or_else(|| format!("one of {names}"))
}

pub(super) async fn run(session: &Session, pool: &PgPool, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Create(create) => make(session, pool, create).await,
        Command::List { page } => {
            let rows = db::gateway_key::list(pool, page.cursor, page.reads()).await?;
            page.show(
                session,
                &rows,
                |row| row.id,
                view,
                |rows| {
                    let lines = rows.iter().map(|row| {
                        let secret = format!("ath_{}.{}…", row.public_id, row.prefix);
                        let state = key::state(row.revoked_at, row.expires_at);
                        let used = maybe_time(row.last_used_at);
                        [row.name.clone(), secret, row.rights.join(" "), state, used, row.id.to_string()]
                    });
                    table(["name", "secret", "rights", "state", "last used", "id"], &[], lines)
                },
            )
        }
        Command::Revoke { key } => {
            let revoked = db::gateway_key::revoke(pool, *key).await?;
            let revoked = revoked.with_context(|| format!("there is no gateway key {key}"))?;
            session.show(&view(&revoked), || format!("revoked {} ({key})", revoked.name))
        }
    }
}

async fn make(session: &Session, pool: &PgPool, create: &Create) -> anyhow::Result<()> {
    let rights = if create.rights.is_empty() { Right::ALL.to_vec() } else { create.rights.clone() };
    organization::check_name(&create.name)?;
    let mut faults: Vec<String> = Right::fault(&rights).map(|fault| format!("rights {fault}")).into_iter().collect();
    faults.extend(key::end_fault(pool, create.expires_at).await?);
    if !faults.is_empty() {
        bail!("the gateway key can't be made: {}", faults.join("; "));
    }
    let rights: Vec<String> = rights.into_iter().map(|right| right.as_str().to_owned()).collect();
    let new = new_gateway_key();
    let key = db::gateway_key::insert(pool, &create.name, &rights, create.expires_at, &new).await?;
    let mut shown = view(&key);
    shown["rawKey"] = json!(new.secret.raw);
    session.show(&shown, || {
        record([
            ("key", format!("{}  (shown this once: keep it)", new.secret.raw)),
            ("id", key.id.to_string()),
            ("name", key.name.clone()),
            ("rights", key.rights.join(" ")),
            ("expires", maybe_time(key.expires_at)),
        ])
    })
}

fn view(key: &GatewayKey) -> Value {
    json!({
        "id": key.id,
        "publicId": key.public_id,
        "name": key.name,
        "prefix": key.prefix,
        "rights": key.rights,
        "expiresAt": key.expires_at,
        "revokedAt": key.revoked_at,
        "lastUsedAt": key.last_used_at,
        "createdAt": key.created_at,
    })
}
