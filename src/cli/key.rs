//! `tidewell key`.

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        key::{Key, NewKey},
    },
    domain::{
        key::{self, DEFAULT_RATE, Scope},
        secret::{KeyKind, new_key},
    },
};
use uuid::Uuid;

use super::{
    Session, gateway_key, index, organization,
    output::{maybe, maybe_time, record, table, time},
    page::PageArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key; its secret is shown this once
    Create(Create),
    /// List an organization's keys, newest first
    List {
        /// The organization's id or slug
        #[arg(long)]
        org: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Revoke a key, for ever
    Revoke {
        /// Its id
        key: Uuid,
        /// The organization's id or slug
        #[arg(long)]
        org: String,
    },
    /// Keys for Athena's routes, which are no organization's
    #[command(subcommand)]
    Gateway(gateway_key::Command),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name for people
    name: String,
    /// The organization's id or slug
    #[arg(long)]
    org: String,
    #[arg(long, value_enum)]
    kind: Kind,
    /// What it may do, with commas: search, ingest, admin, connector_write [default: what its kind is for]
    #[arg(long, alias = "scope", value_name = "SCOPES", value_parser = parse_scope, value_delimiter = ',')]
    scopes: Vec<Scope>,
    /// The one index that it is bound to: its id or slug
    #[arg(long)]
    index: Option<String>,
    /// An origin that browsers may use it from, such as https://shop.example.com [default: any]
    #[arg(long = "allowed-origin", value_name = "ORIGIN")]
    allowed_origins: Vec<String>,
    /// Requests a minute
    #[arg(long, default_value_t = DEFAULT_RATE)]
    rate_limit_per_minute: i32,
    /// When it stops working, such as 2030-01-01T00:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Search,
    Connector,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    let names = Scope::ALL.map(Scope::as_str).join(", ");
    Scope::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| format!("one of {names}"))
}

pub(super) async fn run(session: &Session, command: &Command) -> anyhow::Result<()> {
    let pool = session.database().await?;
    match command {
        Command::Create(create) => make(session, &pool, create).await,
        Command::List { org, page } => {
            let organization = organization::find(&pool, org).await?;
            let rows = db::key::list(&pool, organization.id, page.cursor, page.reads()).await?;
            page.show(
                session,
                &rows,
                |row| row.id,
                view,
                |rows| {
                    let lines = rows.iter().map(|row| {
                        let secret = format!("ss_{}_{}…", row.kind, row.prefix);
                        let state = state(row.revoked_at, row.expires_at);
                        let used = maybe_time(row.last_used_at);
                        [row.name.clone(), secret, row.scopes.join(" "), state, used, row.id.to_string()]
                    });
                    table(["name", "secret", "scopes", "state", "last used", "id"], &[], lines)
                },
            )
        }
        Command::Revoke { key, org } => {
            let organization = organization::find(&pool, org).await?;
            let revoked = db::key::revoke(&pool, organization.id, *key).await?;
            let revoked = revoked.with_context(|| format!("{} has no key {key}", organization.slug))?;
            session.show(&view(&revoked), || format!("revoked {} ({key})", revoked.name))
        }
        Command::Gateway(command) => gateway_key::run(session, &pool, command).await,
    }
}

/// Whether a key is good, in a word and a moment.
pub(super) fn state(revoked_at: Option<DateTime<Utc>>, expires_at: Option<DateTime<Utc>>) -> String {
    match (revoked_at, expires_at) {
        (Some(at), _) => format!("revoked {}", time(at)),
        (None, Some(at)) => format!("expires {}", time(at)),
        (None, None) => "good".to_owned(),
    }
}

/// What is wrong with the end that a key is to have.
pub(super) async fn end_fault(pool: &PgPool, end: Option<DateTime<Utc>>) -> anyhow::Result<Option<String>> {
    let ahead = match end {
        Some(end) => db::key::is_ahead(pool, end).await?,
        None => true,
    };
    Ok((!ahead).then(|| "expiresAt must lie in the future".to_owned()))
}

async fn make(session: &Session, pool: &PgPool, create: &Create) -> anyhow::Result<()> {
    let organization = organization::find(pool, &create.org).await?;
    let index_id = match &create.index {
        Some(name) => Some(index::find(pool, Some(&create.org), name).await?.id),
        None => None,
    };
    let kind = match create.kind {
        Kind::Search => KeyKind::Search,
        Kind::Connector => KeyKind::Connector,
    };
    let scopes = if create.scopes.is_empty() { vec![Scope::usual(kind)] } else { create.scopes.clone() };
    check(pool, create, &scopes).await?;
    let secret = new_key(kind);
    let new = NewKey {
        organization_id: organization.id,
        index_id,
        name: &create.name,
        kind: kind.as_str(),
        scopes: &scopes.into_iter().map(|scope| scope.as_str().to_owned()).collect::<Vec<_>>(),
        allowed_origins: &create.allowed_origins,
        rate_limit_per_minute: create.rate_limit_per_minute,
        expires_at: create.expires_at,
    };
    let key = db::key::insert(pool, &new, &secret).await??;
    let mut shown = view(&key);
    shown["rawKey"] = json!(secret.raw);
    session.show(&shown, || {
        record([
            ("key", format!("{}  (shown this once: keep it)", secret.raw)),
            ("id", key.id.to_string()),
            ("name", key.name.clone()),
            ("organization", organization.slug.clone()),
            ("index", maybe(create.index.as_ref())),
            ("scopes", key.scopes.join(" ")),
            ("requests a minute", key.rate_limit_per_minute.to_string()),
            ("expires", maybe_time(key.expires_at)),
        ])
    })
}

async fn check(pool: &PgPool, create: &Create, scopes: &[Scope]) -> anyhow::Result<()> {
    organization::check_name(&create.name)?;
    let faults = key::faults(scopes, &create.allowed_origins, create.rate_limit_per_minute);
    let mut faults: Vec<String> = faults.into_iter().map(|(field, message)| format!("{field} {message}")).collect();
    faults.extend(end_fault(pool, create.expires_at).await?);
    if !faults.is_empty() {
        bail!("the key can't be made: {}", faults.join("; "));
    }
    Ok(())
}

fn view(key: &Key) -> Value {
    json!({
        "id": key.id,
        "organizationId": key.organization_id,
        "indexId": key.index_id,
        "name": key.name,
        "kind": key.kind,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "allowedOrigins": key.allowed_origins,
        "rateLimitPerMinute": key.rate_limit_per_minute,
        "expiresAt": key.expires_at,
        "revokedAt": key.revoked_at,
        "lastUsedAt": key.last_used_at,
        "createdAt": key.created_at,
    })
}
