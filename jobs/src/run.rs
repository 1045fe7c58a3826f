use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    Failure, Job,
    claim::Claim,
    failure::chain,
    store::{End, Store},
};

/// What the application does for a job.
pub(crate) type Handler<J> = Arc<dyn Fn(J) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// Between two tries to write how a run ended.
const FINISH_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long a stop waits for that write where the database is away; then the row is an orphan.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// When a job runs again that could not wait for all its writers.
const UNSETTLED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Runs one claimed job to its end, in a task of its own: it neither holds up the poll loop of its
/// worker nor ends with it.
pub(crate) async fn run<J: Job>(store: Store, handler: Handler<J>, shutdown: CancellationToken, claim: Claim) {
    let span = tracing::info_span!(
        "job", queue = J::QUEUE, job.id = %claim.id, job.attempt = claim.attempt
    );
    let run = async move {
        let end = conclude::<J>(&store, handler, &claim).await;
        match &end {
            End::Done | End::Again { .. } => tracing::debug!(?end, "the job ran"),
            End::Failed { after, error } => {
                tracing::warn!(error, retry_after = ?after, "the job failed and will be retried");
            }
            End::Killed { error } => tracing::error!(error, "the job failed for good"),
        }
        acknowledge(&store, &claim, &end, &shutdown).await;
    };
    // The task can't fail: a panic of the handler has become an end of the run.
    let _ = tokio::spawn(run.instrument(span)).await;
}

async fn conclude<J: Job>(store: &Store, handler: Handler<J>, claim: &Claim) -> End {
    let job: J = match serde_json::from_slice(&claim.payload) {
        Ok(job) => job,
        Err(error) => {
            return End::Killed { error: format!("the payload can't be read: {error}") };
        }
    };
    let settled = match job.coalesce_key() {
        None => true,
        Some(key) => match store.settle(&key).await {
            Ok(settled) => settled,
            Err(error) => return retry::<J>(claim, error.to_string()),
        },
    };
    let result = AssertUnwindSafe(async { handler(job).await }).catch_unwind().await;
    match result {
        Ok(Ok(())) if settled => End::Done,
        Ok(Ok(())) => End::Again { after: UNSETTLED_AGAIN_AFTER },
        Ok(Err(Failure::Snooze(after))) => End::Again { after },
        Ok(Err(Failure::Retry(error))) => retry::<J>(claim, chain(&error)),
        Ok(Err(Failure::Fail(error))) => End::Killed { error: chain(&error) },
        Err(panic) => {
            let what = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("of unknown cause");
            retry::<J>(claim, format!("panicked: {what}"))
        }
    }
}

fn retry<J: Job>(claim: &Claim, error: String) -> End {
    if claim.attempt < claim.max_attempts {
        End::Failed { after: J::backoff(claim.attempt), error }
    } else {
        End::Killed { error }
    }
}

/// Keeps trying while the database is away: nobody else touches the row while this worker lives.
async fn acknowledge(store: &Store, claim: &Claim, end: &End, shutdown: &CancellationToken) {
    let give_up = async {
        shutdown.cancelled().await;
        tokio::time::sleep(FINISH_WITHIN).await;
    };
    let write = async {
        while let Err(error) = store.finish(claim, end).await {
            tracing::warn!(%error, "could not write how the job ended; trying again");
            tokio::time::sleep(FINISH_AGAIN_AFTER).await;
        }
    };
    tokio::select! {
        () = write => {}
        () = give_up => tracing::warn!("stopping before it could be written how the job ended"),
    }
}
