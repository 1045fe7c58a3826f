//! `tidewell doctor`: looks at a deployment as it is and says what to fix. It changes nothing.

mod database;
mod finding;
mod front_end;
mod models;
mod settings;
mod sources;
mod tables;
mod typesense;
mod work;

use anyhow::bail;
use reqwest::Url;
use serde::Serialize;

use self::finding::{Finding, Verdict};
use super::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The address of a front end to look at, too, as its users call it
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
}

#[derive(Serialize)]
struct Report {
    problems: usize,
    warnings: usize,
    checks: Vec<Finding>,
}

/// Prints what was found; fails where something must be fixed.
pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<()> {
    let mut checks = settings::check(session);
    checks.extend(typesense::check(session).await);
    match session.database_as_it_is().await {
        Err(error) => checks.push(Finding::problem(
            "database",
            format!("{error:#}"),
            "start it, or mend TIDEWELL_DATABASE_URL; what it holds could not be checked",
        )),
        Ok(pool) => {
            checks.push(Finding::ok("database", "it answers"));
            checks.extend(database::check(session, &pool).await);
            // Of tables that are not there nothing can be told.
            if tidewell::db::fault(&pool).await.is_none() {
                checks.extend(tables::check(&pool).await);
                checks.extend(typesense::check_recorded(session, &pool).await);
                checks.extend(sources::check(session, &pool).await);
                checks.extend(models::check(session, &pool).await);
                checks.extend(work::check(session, &pool).await);
            }
        }
    }
    if let Some(url) = &args.url {
        checks.extend(front_end::check(session, url).await);
    }
    let count = |verdict| checks.iter().filter(|finding| finding.verdict == verdict).count();
    let report = Report { problems: count(Verdict::Problem), warnings: count(Verdict::Warning), checks };
    session.show(&report, || text(&report))?;
    match report.problems {
        0 => Ok(()),
        1 => bail!("there is a problem to be fixed"),
        many => bail!("there are {many} problems to be fixed"),
    }
}

fn text(report: &Report) -> String {
    let lines: Vec<String> = report.checks.iter().map(Finding::told).collect();
    let Report { problems, warnings, checks } = report;
    format!("{}\n\n{} checks, {problems} problems, {warnings} warnings", lines.join("\n"), checks.len())
}
