//! `tidewell org`.

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        organization::{Changes, Organization},
    },
    domain::slug,
};

use super::{
    Session,
    output::{record, table, time},
    page::PageArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an organization
    Create {
        /// Its name in URLs: lower-case letters, digits, hyphens, underscores
        slug: String,
        /// Its name for people [default: the slug]
        #[arg(long)]
        name: Option<String>,
        /// How much it may use: see `tidewell plan list`
        #[arg(long, default_value = "free")]
        plan: String,
    },
    /// List organizations, newest first
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show an organization
    Show {
        /// Its id or slug
        organization: String,
    },
    /// Change an organization
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Update {
        /// Its id or slug
        organization: String,
        /// Its name for people
        #[arg(long, group = "change")]
        name: Option<String>,
        /// Its plan
        #[arg(long, group = "change")]
        plan: Option<String>,
        /// Whether units beyond the plan are paid from the wallet
        #[arg(long, group = "change", value_name = "TRUE|FALSE")]
        overage_enabled: Option<bool>,
    },
    /// Show what an organization has used of this month's plan
    Usage {
        /// Its id or slug
        organization: String,
    },
    /// Add to an organization's wallet
    TopUp {
        /// Its id or slug
        organization: String,
        /// In minor units of the wallet's currency (cents)
        #[arg(value_parser = clap::value_parser!(i64).range(1..=1_000_000_000))]
        amount_minor: i64,
    },
}

pub(super) async fn run(session: &Session, command: &Command) -> anyhow::Result<()> {
    let pool = session.database().await?;
    match command {
        Command::Create { slug, name, plan } => {
            let name = name.as_deref().unwrap_or(slug);
            check_slug(slug)?;
            check_name(name)?;
            let made = db::organization::insert(&pool, slug, name, plan).await;
            let organization = made.map_err(|error| explain(error, slug, plan))?;
            show(session, &organization)
        }
        Command::List { page } => list(session, &pool, page).await,
        Command::Show { organization } => show(session, &find(&pool, organization).await?),
        Command::Update { organization, name, plan, overage_enabled } => {
            let found = find(&pool, organization).await?;
            name.as_deref().map_or(Ok(()), check_name)?;
            let changes = Changes { name: name.as_deref(), plan: plan.as_deref(), overage_enabled: *overage_enabled };
            let changed = db::organization::update(&pool, found.id, &changes).await;
            show(session, &changed.map_err(|error| explain(error, &found.slug, plan.as_deref().unwrap_or_default()))?)
        }
        Command::Usage { organization } => usage(session, &pool, &find(&pool, organization).await?).await,
        Command::TopUp { organization, amount_minor } => {
            let found = find(&pool, organization).await?;
            show(session, &db::organization::top_up(&pool, found.id, *amount_minor).await?)
        }
    }
}

/// The organization of that id or slug.
pub(super) async fn find(pool: &PgPool, name: &str) -> anyhow::Result<Organization> {
    let found = db::organization::resolve(pool, name).await?;
    found.with_context(|| format!("there is no organization {name:?}: `tidewell org list` shows those there are"))
}

pub(super) fn check_slug(slug: &str) -> anyhow::Result<()> {
    match slug::slug_fault(slug) {
        Some(fault) => bail!("the slug {slug:?} can't be taken: it {fault}"),
        None => Ok(()),
    }
}

pub(super) fn check_name(name: &str) -> anyhow::Result<()> {
    match slug::name_fault(name) {
        Some(fault) => bail!("the name {name:?} can't be taken: it {fault}"),
        None => Ok(()),
    }
}

fn explain(error: sqlx::Error, slug: &str, plan: &str) -> anyhow::Error {
    match db::broken_constraint(&error) {
        Some("organizations_slug_key") => anyhow::anyhow!("there is an organization {slug:?} already"),
        Some("organizations_plan_fkey") => {
            anyhow::anyhow!("there is no plan {plan:?}: `tidewell plan list` shows those there are")
        }
        _ => error.into(),
    }
}

fn view(organization: &Organization) -> Value {
    json!({
        "id": organization.id,
        "slug": organization.slug,
        "name": organization.name,
        "plan": organization.plan,
        "overageEnabled": organization.overage_enabled,
        "walletMinor": organization.wallet_minor,
        "createdAt": organization.created_at,
    })
}

fn show(session: &Session, organization: &Organization) -> anyhow::Result<()> {
    session.show(&view(organization), || {
        record([
            ("id", organization.id.to_string()),
            ("slug", organization.slug.clone()),
            ("name", organization.name.clone()),
            ("plan", organization.plan.clone()),
            ("overage enabled", organization.overage_enabled.to_string()),
            ("wallet (minor)", organization.wallet_minor.to_string()),
            ("created", time(organization.created_at)),
        ])
    })
}

async fn list(session: &Session, pool: &PgPool, page: &PageArgs) -> anyhow::Result<()> {
    let rows = db::organization::list(pool, page.cursor, page.reads()).await?;
    page.show(
        session,
        &rows,
        |row| row.id,
        view,
        |rows| {
            let lines = rows.iter().map(|row| {
                [row.slug.clone(), row.name.clone(), row.plan.clone(), row.wallet_minor.to_string(), row.id.to_string()]
            });
            table(["slug", "name", "plan", "wallet", "id"], &["wallet"], lines)
        },
    )
}

async fn usage(session: &Session, pool: &PgPool, organization: &Organization) -> anyhow::Result<()> {
    let month = db::quota::month(pool, organization.id).await?;
    let month = month.context("the organization has just gone")?;
    let holding = db::plan::holding(&mut *pool.acquire().await?, organization.id).await?;
    let holding = holding.context("the organization has just gone")?;
    let held = |used: i64, limit: Option<i64>| json!({ "used": used, "limit": limit });
    let usage = json!({
        "plan": organization.plan,
        "used": month.used,
        "limit": month.limit,
        "resetsAt": month.resets_at,
        "overageEnabled": organization.overage_enabled,
        "walletMinor": organization.wallet_minor,
        "walletReservedMinor": organization.wallet_reserved_minor,
        "documents": held(holding.documents, holding.max_documents),
        "indexes": held(holding.indexes, holding.max_indexes),
        "keys": held(holding.keys, holding.max_keys),
    });
    let of = |used: i64, limit: Option<i64>| {
        format!("{used} of {}", limit.map_or("any number".to_owned(), |limit| limit.to_string()))
    };
    session.show(&usage, || {
        record([
            ("plan", organization.plan.clone()),
            ("units", of(month.used, month.limit)),
            ("documents", of(holding.documents, holding.max_documents)),
            ("indexes", of(holding.indexes, holding.max_indexes)),
            ("keys", of(holding.keys, holding.max_keys)),
            ("next month", time(month.resets_at)),
            ("overage enabled", organization.overage_enabled.to_string()),
            ("wallet (minor)", organization.wallet_minor.to_string()),
        ])
    })
}
