//! The command line of Tidewell, and the one place where everything is wired.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use tidewell::config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

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
    log_to_stderr(&config, cli.command.stays());
    // Said once for the process: without it no TLS connection can be made.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let session = Session { config, json: cli.json };
    let outcome = runtime.block_on(cli::run(&session, &cli.command));
    // What still blocks a thread by now (a name lookup, a half-read file) is not waited for.
    runtime.shutdown_background();
    outcome
}

/// A command that only answers keeps to its answer, unless the settings ask for more.
fn log_to_stderr(config: &Config, stays: bool) {
    let filter = if stays || config.log != Config::default().log { &config.log } else { "warn" };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => logs.with_target(false).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
