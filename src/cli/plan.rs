//! `tidewell plan`.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use tidewell::db::{self, plan::Plan};

use super::{
    Session,
    output::{maybe, record, table},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List plans, the smallest first
    List,
    /// Show a plan
    Show { plan: String },
    /// Make a plan, or replace it for every organization that is on it
    Set(Set),
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    plan: String,
    /// Units a calendar month [default: no cap]
    #[arg(long)]
    monthly_units: Option<i64>,
    /// Price of a thousand units beyond the cap, in minor units of the wallet's currency (cents)
    #[arg(long, default_value_t = 0)]
    overage_minor_per_thousand: i64,
    /// Documents of all indexes together [default: no cap]
    #[arg(long)]
    max_documents: Option<i64>,
    /// [default: no cap]
    #[arg(long)]
    max_indexes: Option<i64>,
    /// Keys that are neither revoked nor expired [default: no cap]
    #[arg(long)]
    max_keys: Option<i64>,
}

pub(super) async fn run(session: &Session, command: &Command) -> anyhow::Result<()> {
    let pool = session.database().await?;
    match command {
        Command::List => list(session, &db::plan::list(&pool).await?),
        Command::Show { plan } => {
            let found = db::plan::find(&pool, plan).await?;
            let hint = || format!("there is no plan {plan:?}: `tidewell plan list` shows those there are");
            show(session, &found.with_context(hint)?)
        }
        Command::Set(set) => {
            let plan = Plan {
                name: set.plan.clone(),
                monthly_units: set.monthly_units,
                overage_minor_per_thousand: set.overage_minor_per_thousand,
                max_documents: set.max_documents,
                max_indexes: set.max_indexes,
                max_keys: set.max_keys,
            };
            let faults: Vec<String> =
                plan.faults().into_iter().map(|(field, message)| format!("{field} {message}")).collect();
            if !faults.is_empty() {
                bail!("the plan can't be taken: {}", faults.join("; "));
            }
            db::plan::put(&pool, &plan).await?;
            show(session, &plan)
        }
    }
}

fn show(session: &Session, plan: &Plan) -> anyhow::Result<()> {
    session.show(&json!(plan), || {
        record([
            ("plan", plan.name.clone()),
            ("units a month", maybe(plan.monthly_units)),
            ("price of 1,000 beyond (minor)", plan.overage_minor_per_thousand.to_string()),
            ("documents", maybe(plan.max_documents)),
            ("indexes", maybe(plan.max_indexes)),
            ("keys", maybe(plan.max_keys)),
        ])
    })
}

fn list(session: &Session, plans: &[Plan]) -> anyhow::Result<()> {
    session.show(&json!({ "items": plans, "nextCursor": null }), || {
        let rows = plans.iter().map(|plan| {
            [
                plan.name.clone(),
                maybe(plan.monthly_units),
                plan.overage_minor_per_thousand.to_string(),
                maybe(plan.max_documents),
                maybe(plan.max_indexes),
                maybe(plan.max_keys),
            ]
        });
        let numbers = ["units a month", "price of 1,000 beyond (minor)", "documents", "indexes", "keys"];
        let [units, price, documents, indexes, keys] = numbers;
        table(["plan", units, price, documents, indexes, keys], &numbers, rows)
    })
}
