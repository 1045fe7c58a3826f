//! The port: connections taken up, each within bounds of time and number, so that who is slow, silent or many keeps nobody else out.

mod places;
mod wire;

use std::{convert::Infallible, io, pin::pin, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use places::{Place, Places};
use wire::{Answering, Wire};

/// Bytes of a request's first line and headers. Beyond them hyper answers 431, as it does beyond a hundred headers.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Where no more files may be open, so long nothing is taken up.
const BREATH: Duration = Duration::from_secs(1);

/// Bounds of connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at one time. For one more the one is closed that has been without a request for longest.
    pub connections: usize,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// How long a request's head may take to arrive. Beyond it the answer is 408.
    pub head: Duration,
    /// How long an answer may stand still because it is not read.
    pub stall: Duration,
}

/// Serves until `shutdown`, and then until the answers under way have ended.
pub async fn serve(listener: TcpListener, routes: Router, bounds: Bounds, shutdown: CancellationToken) {
    let places = Places::new(bounds.connections);
    let next = async || {
        let stream = accept(&listener).await;
        (stream, places.take().await)
    };
    while let Some((stream, place)) = shutdown.run_until_cancelled(next()).await {
        tokio::spawn(connection(stream, routes.clone(), place, bounds, shutdown.clone()));
    }
    drop(listener);
    places.all_free().await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Of one connection that did not come about.
            Err(error) if is_the_others(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken up: the process may have too few open files (ulimit -n)");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

fn is_the_others(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(stream: TcpStream, routes: Router, place: Place, bounds: Bounds, shutdown: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let standing = place.standing();
    let answer = service_fn(|request: Request<Incoming>| {
        let answering = Answering::begin(standing.clone());
        let routes = routes.clone();
        async move {
            let answer = routes.oneshot(request.map(Body::new)).await?;
            Ok::<_, Infallible>(answer.map(|body| answering.until_the_end_of(body)))
        }
    });
    let io = TokioIo::new(Wire::new(stream, standing.clone(), bounds));
    let mut serving = pin!(http1::Builder::new().max_header_size(MAX_HEAD_BYTES).serve_connection(io, answer));
    let mut is_leaving = false;
    loop {
        tokio::select! {
            served = serving.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection broke off");
                }
                return;
            }
            () = place.is_wanted(), if !is_leaving => {
                if standing.waits_since().is_some() {
                    return;
                }
            }
            () = shutdown.cancelled(), if !is_leaving => {}
        }
        is_leaving = true;
        serving.as_mut().graceful_shutdown();
    }
}

#[cfg(test)]
mod tests;
