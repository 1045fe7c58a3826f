//! The command line of Tidewell, and the one place where everything is wired.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use tidewell::{
    config::{Config, LogFormat},
    journal::{self, Journal},
    reach, trace,
};
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use cli::{Cli, Session};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::output::failure(cli.json, &error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let config = Config::load(cli.config.as_deref())?;
    // Said once for the process: without it no TLS connection can be made.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reach::install(reach::Policy { private: config.private_addresses, allowed: config.allowed_addresses.clone() });
    let endpoint = config.otlp_endpoint.as_deref().filter(|_| cli.command.stays());
    let spans = endpoint.map(|endpoint| trace::Exporter::open(endpoint, config.otlp_sample_percent)).transpose()?;
    let journal = log(&config, cli.command.stays(), spans.as_ref());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let session = Session { config, json: cli.json, journal };
    let outcome = runtime.block_on(cli::run(&session, &cli.command));
    // What still blocks a thread by now (a name lookup, a half-read file) is not waited for.
    runtime.shutdown_background();
    if let Some(spans) = spans {
        spans.close();
    }
    outcome
}

/// Logs to stderr and, for a process that stays, to the journal, and hands spans to who exports them. A command that only answers keeps
/// to its answer, unless the settings ask for more.
fn log(config: &Config, stays: bool, spans: Option<&trace::Exporter>) -> Journal {
    let filter = if stays || config.log != Config::default().log { &config.log } else { "warn" };
    let lines =
        fmt::layer().with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let (journal, layer) = journal::open();
    tracing_subscriber::registry()
        // One filter for both: with one for each, an event is lost after a look whether another would be taken, as sqlx has them.
        .with(EnvFilter::new(filter))
        .with(lines)
        .with(stays.then_some(layer))
        .with(spans.map(trace::Exporter::layer))
        .init();
    journal
}
