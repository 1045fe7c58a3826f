//! Stopping when told to.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell makes of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// A token that SIGTERM and Ctrl-C cancel. A second Ctrl-C ends the process on the spot; `left` then says what that leaves behind.
pub(super) fn on_signal(left: &'static str) -> std::io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; Ctrl-C again stops at once");
        told.cancel();
        interrupt.recv().await;
        tracing::warn!("stopped at once{left}");
        std::process::exit(INTERRUPTED);
    });
    Ok(shutdown)
}
