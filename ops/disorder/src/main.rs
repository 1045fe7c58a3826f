//! `ops/chaos`: breaks everything that Tidewell stands on while writers write, and checks its promises against an oracle.
//!
//! Real `tidewell` processes on real servers, seen from outside. The faults are those of processes, servers, networks and clocks; what
//! must hold is known from the acknowledged requests alone. README.md beside this crate tells which there are.

mod api;
mod checks;
mod fault;
mod oracle;
mod process;
mod proxy;
mod replica;
mod sabotage;
mod site;
mod stage;
mod workload;

use std::{collections::BTreeMap, process::ExitCode, sync::Arc, time::Duration};

use anyhow::anyhow;
use clap::Parser;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use checks::{Check, Violation};
use fault::Fault;
use sabotage::Sabotage;
use site::{Site, Tenant};
use stage::Stage;
use workload::{Workload, Written};

/// How long everything may take to come to rest.
const REST_WITHIN: Duration = Duration::from_secs(300);
/// A sabotage may well keep it from that: then it need not be waited for as long.
const SABOTAGED_REST_WITHIN: Duration = Duration::from_secs(45);
/// Writers begin before the faults do.
const LEAD: Duration = Duration::from_secs(2);

/// Breaks everything under Tidewell while writers write, and checks its promises. Exits 0 where all held, 1 where one was broken,
/// 2 where it could not be told. The last line of the output is JSON: `{"seed","acknowledged","faults","violations"}`.
#[derive(Debug, Parser)]
#[command(name = "ops/chaos", bin_name = "ops/chaos", max_term_width = 120)]
struct Args {
    /// Decides what is written and what breaks, as far as real processes can be told; drawn and printed where left out
    #[arg(long)]
    seed: Option<u64>,
    /// For how long things break
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Breaks one promise on purpose; exits 1, for the check in brackets must notice
    #[arg(long, value_enum)]
    sabotage: Option<Sabotage>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // Said once for the process: reqwest wants to know whose cryptography.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("can't start: {error}");
            return ExitCode::from(2);
        }
    };
    runtime.block_on(run(&args)).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

/// What came of it all.
struct Outcome {
    acknowledged: u64,
    violations: Vec<Violation>,
}

async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    eprintln!("seed {seed}");
    if stage::faketime().is_none() {
        eprintln!("no clock is moved: that takes Debian's libfaketime");
    }
    let mut random = StdRng::seed_from_u64(seed);
    let stage = Stage::start().await?;
    let (site, tenants) = Site::open(stage, &mut random).await?;
    let (site, tenants) = (Arc::new(site), tenants.map(Arc::new));
    // In a task of its own, so that the servers are stopped in good order also after a panic or Ctrl-C.
    let mut breaking = tokio::spawn({
        let (site, sabotage, seconds) = (site.clone(), args.sabotage, args.seconds);
        async move { break_everything(&site, &tenants, sabotage, seconds, &mut random).await }
    });
    let outcome = tokio::select! {
        outcome = &mut breaking => Some(outcome),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    let counts = site.tally.counts();
    let happened = |fault: &Fault| (fault.name(), counts.get(fault.name()).copied().unwrap_or_default());
    let faults: BTreeMap<&str, u64> = Fault::ALL.iter().map(happened).collect();
    if outcome.is_none() {
        breaking.abort();
        let _ = breaking.await;
    }
    let keep = match &outcome {
        Some(Ok(Ok(outcome))) => !outcome.violations.is_empty() && args.sabotage.is_none(),
        Some(_) => true,
        None => false,
    };
    if let Some(folder) = close(site, keep).await? {
        println!("databases and logs are kept in {}", folder.display());
    }
    let Some(outcome) = outcome else { return Ok(ExitCode::from(130)) };
    let Outcome { acknowledged, violations } =
        outcome.map_err(|panic| anyhow!("chaos itself broke off: {panic}"))??;
    tell(&violations, args.sabotage);
    let what: Vec<String> = violations.iter().map(ToString::to_string).collect();
    println!("{}", json!({ "seed": seed, "acknowledged": acknowledged, "faults": faults, "violations": what }));
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Tells a person what does not hold, and whether a sabotage was noticed.
fn tell(violations: &[Violation], sabotage: Option<Sabotage>) {
    violations.iter().for_each(|violation| println!("{violation}"));
    if let Some(check) = sabotage.map(Sabotage::caught_by) {
        let caught = violations.iter().any(|violation| violation.check == check);
        println!("{} by {check}", if caught { "caught" } else { "not caught" });
    }
}

/// Stops the servers; gives the folder, where it is kept.
async fn close(site: Arc<Site>, keep: bool) -> anyhow::Result<Option<std::path::PathBuf>> {
    site.pool.close().await;
    site.source.close().await;
    // What was broken off lets go of it soon.
    while Arc::strong_count(&site) > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let site = Arc::into_inner(site).ok_or_else(|| anyhow!("something still goes on"))?;
    let stage = site.stage.into_inner();
    let folder = stage.folder().to_owned();
    stage.stop(keep).await?;
    Ok(keep.then_some(folder))
}

async fn break_everything(
    site: &Arc<Site>,
    tenants: &[Arc<Tenant>; 4],
    sabotage: Option<Sabotage>,
    seconds: u64,
    random: &mut StdRng,
) -> anyhow::Result<Outcome> {
    if let Some(sabotage) = sabotage {
        sabotage.begin(site).await?;
    }
    let patience = if sabotage.is_some() { SABOTAGED_REST_WITHIN } else { REST_WITHIN };
    let workload = Workload::start(site, tenants, random);
    tokio::time::sleep(LEAD).await;
    let kinds = sabotage.map_or(&Fault::ALL[..], Sabotage::faults);
    eprintln!("things break for {seconds} s");
    fault::inject(site, kinds, random, Instant::now() + Duration::from_secs(seconds)).await?;
    if sabotage.is_none() {
        site.calm();
    }
    eprintln!("everything comes to rest");
    let mut written = match workload.stop().await {
        Ok(written) => written,
        Err(error) => {
            // What was written is not known in full; whether it comes to rest can be told all the same.
            let mut violations = vec![Violation::new(Check::AnswersAreExplained, format!("{error:#}"))];
            violations.extend(checks::rest::comes(site, patience).await?);
            return Ok(Outcome { acknowledged: 0, violations });
        }
    };
    let violations = check(site, tenants, &mut written, patience, random).await?;
    let writers = written.books.iter().chain([&written.shelf, &written.compat]);
    Ok(Outcome { acknowledged: writers.map(|writer| writer.accepted).sum(), violations })
}

/// Checks everything; what has been broken last comes first.
async fn check(
    site: &Arc<Site>,
    tenants: &[Arc<Tenant>; 4],
    written: &mut Written,
    patience: Duration,
    random: &mut StdRng,
) -> anyhow::Result<Vec<Violation>> {
    let mut violations: Vec<Violation> = checks::rest::comes(site, patience).await?.into_iter().collect();
    let restless = !violations.is_empty();
    violations.extend(checks::at_rest(site, tenants, written, patience / 3).await?);
    if !restless {
        // What the record says is what is in a collection that is made of it.
        workload::reindexes::rebuild(&tenants[0], random, u32::MAX, &mut written.reindexed).await?;
        violations.extend(checks::rest::comes(site, patience).await?);
        let again = checks::documents_are_right(site, tenants, written, ", after a rebuild from the record").await?;
        violations.extend(again);
    }
    violations.extend(checks::rest::stop(site).await);
    violations.extend(checks::at_the_end(site, written).await?);
    Ok(violations)
}
