//! Answers that wait for something to end.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Error, State};

/// Pauses between looks.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// What is looked at until it has ended; as it stands where the time is up, this front end is about to stop, or as many answers wait as
/// may: each that waits is a request under way, and they are not to be all that there may be.
pub(super) async fn ended<T, F: Future<Output = Result<T, Error>>>(
    state: &State,
    mut seen: T,
    wait: Duration,
    has_ended: impl Fn(&T) -> bool,
    look: impl Fn() -> F,
) -> Result<T, Error> {
    let deadline = Instant::now() + wait;
    let Ok(_place) = state.waits.try_acquire() else { return Ok(seen) };
    let mut pause = FIRST_PAUSE;
    while !has_ended(&seen) && Instant::now() < deadline && !state.retiring.is_cancelled() {
        state.retiring.run_until_cancelled(sleep_until(deadline.min(Instant::now() + pause))).await;
        pause = LONGEST_PAUSE.min(pause * 3 / 2);
        seen = look().await?;
    }
    Ok(seen)
}
