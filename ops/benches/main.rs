//! `ops/bench`: what Tidewell does a second, beside what its servers could do at most.
//!
//! Real servers and real `tidewell` processes; each limit is measured in the same run on the same servers, in turns with the
//! figure that it belongs to, because machines are noisy. Only figures go to standard output.

mod accept;
mod connection;
mod cpu;
mod documents;
mod drain;
mod embed;
mod fresh;
mod growth;
mod load;
mod meaning;
mod memory;
mod overlap;
mod packages;
mod process;
mod raw;
mod reindex;
mod report;
mod rivals;
mod search;
mod stack;
mod sync;
mod tables;
mod tenant;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use report::Row;
use stack::Stack;

/// Measures Tidewell, and prints each figure with its limit and their ratio (higher is better).
#[derive(Debug, Parser)]
#[command(name = "ops/bench", max_term_width = 100)]
struct Args {
    /// What to measure
    #[arg(value_enum, default_values_t = [What::All])]
    what: Vec<What>,
    /// Fewer documents and fewer rounds
    #[arg(long)]
    quick: bool,
    /// Print `[{"name","value","limit","ratio","unit"}]`
    #[arg(long)]
    json: bool,
    /// Of `report`: measure nothing, take what `--json` has printed into these files on this machine; the last of a name counts
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// Cargo says so where this is run as a bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Documents a second that `serve` accepts; limit: the same rows inserted by hand
    Accept,
    /// Documents a second that `work` projects; limit: the best raw import
    Drain,
    /// How soon a single write can be found; limit: a direct write
    Fresh,
    /// Searches a second through `serve`; limit: the same searches sent to Typesense
    Search,
    /// Debian's packages, loaded and searched
    Packages,
    /// How much memory `serve` and `work` need
    Memory,
    /// What other tables for accepted writes would cost
    Tables,
    /// Rows a second that a sync job reads and writes; limit: a copy piped into imports
    Sync,
    /// Documents a second that the local model makes vectors of; limit: the model alone, without cache
    Embed,
    /// Documents a second that a new version of an index takes; limit: the best raw import
    Reindex,
    /// What documents, indexes and sync jobs cost when there are more and more of them; ratio: cost at the smallest size ÷ at the largest
    Growth,
    /// Table sync beside Typesense's Python client and dlt
    Rivals,
    /// All figures of one Tidewell: everything above `growth`
    All,
    /// All, growth and rivals; writes ops/benches/RESULTS.md and results.svg
    Report,
}

const ALL: [What; 10] = [
    What::Accept,
    What::Drain,
    What::Fresh,
    What::Sync,
    What::Search,
    What::Embed,
    What::Reindex,
    What::Packages,
    What::Memory,
    What::Tables,
];

/// What a measurement is told.
#[derive(Clone, Copy, Debug)]
struct Scale {
    quick: bool,
    /// One of many: those that take minutes are to take less.
    one_of_many: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if !args.bench && std::env::args_os().len() == 1 {
        eprintln!("nothing is measured outside of `cargo bench`");
        return ExitCode::SUCCESS;
    }
    // Said once for the process: reqwest wants to know whose cryptography.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&args)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures in a task of its own, so that the servers are stopped in good order also after a panic or Ctrl-C.
async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let is_report = args.what.contains(&What::Report);
    if is_report && !args.from.is_empty() {
        write_report(&args.from)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stack = Arc::new(Stack::start().await?);
    let rows = Arc::new(Mutex::new(Vec::new()));
    let mut measuring = tokio::spawn(measure(stack.clone(), args.what.clone(), args.quick, rows.clone()));
    let outcome = tokio::select! {
        outcome = &mut measuring => Some(outcome),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    let interrupted = outcome.is_none();
    let fault = match outcome {
        Some(Ok(measured)) => measured.err(),
        Some(Err(panic)) => Some(anyhow::anyhow!("the measurement broke off: {panic}")),
        None => {
            eprintln!("stopping");
            measuring.abort();
            // Its processes are killed when what holds them is dropped: not before the task has ended.
            let _ = measuring.await;
            None
        }
    };
    stack.stop().await?;
    // Also what was measured before something went wrong.
    let rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{}", if args.json { report::json(&rows)? } else { report::table(&rows) });
    match (interrupted, fault) {
        (true, _) => Ok(ExitCode::from(130)),
        (false, None) if is_report => {
            let measured = Path::new(env!("CARGO_TARGET_TMPDIR")).join("results.json");
            fs::write(&measured, report::json(&rows)?)?;
            write_report(&[measured])?;
            Ok(ExitCode::SUCCESS)
        }
        (false, None) => Ok(ExitCode::SUCCESS),
        (false, Some(fault)) => Err(fault),
    }
}

fn write_report(files: &[PathBuf]) -> anyhow::Result<()> {
    let (rows, measured) = report::load(files)?;
    report::write(&rows, measured)
}

async fn measure(stack: Arc<Stack>, what: Vec<What>, quick: bool, rows: Arc<Mutex<Vec<Row>>>) -> anyhow::Result<()> {
    let is_report = what.contains(&What::Report);
    let mut what = if is_report || what.contains(&What::All) { ALL.to_vec() } else { what };
    if is_report {
        what.extend([What::Growth, What::Rivals]);
    }
    let scale = Scale { quick, one_of_many: what.len() > 1 };
    for what in what {
        eprintln!("{what:?} …");
        let measured = match what {
            What::Accept => accept::measure(&stack, scale).await?,
            What::Drain => drain::measure(&stack, scale).await?,
            What::Fresh => fresh::measure(&stack, scale).await?,
            What::Search => search::measure(&stack, scale).await?,
            What::Packages => packages::measure(&stack).await?,
            What::Memory => memory::measure(&stack, scale).await?,
            What::Sync => sync::measure(&stack, scale).await?,
            What::Tables => tables::measure(&stack, scale).await?,
            What::Embed => embed::measure(&stack, scale).await?,
            What::Reindex => reindex::measure(&stack, scale).await?,
            What::Growth => growth::measure(&stack, scale).await?,
            What::Rivals => rivals::measure(&stack, scale).await?,
            What::All | What::Report => Vec::new(),
        };
        rows.lock().unwrap_or_else(PoisonError::into_inner).extend(measured);
        stack.tidy().await?;
    }
    Ok(())
}
