//! Leaves a model alone that is away.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Error;
use crate::domain::backoff::Backoff;

pub(super) struct Breaker {
    backoff: Backoff,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Since it last worked.
    failures: u32,
    trouble: Option<Trouble>,
}

struct Trouble {
    message: String,
    until: Instant,
    /// Somebody is finding out whether it is over.
    trying: bool,
}

/// The right to make one call.
pub(super) struct Permit<'a>(&'a Breaker);

impl Breaker {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, state: Mutex::default() }
    }

    /// To be asked before each call.
    ///
    /// # Errors
    /// What the last call failed with, while the pause after it lasts or another call tries.
    pub(super) fn enter(&self, now: Instant) -> Result<Permit<'_>, Error> {
        const WHILE_ANOTHER_TRIES: Duration = Duration::from_secs(1);
        let mut state = self.state();
        if let Some(trouble) = &mut state.trouble {
            let left = trouble.until.saturating_duration_since(now);
            if trouble.trying || !left.is_zero() {
                let retry_after = Some(left.max(WHILE_ANOTHER_TRIES));
                return Err(Error::Away { message: trouble.message.clone(), retry_after });
            }
            trouble.trying = true;
        }
        Ok(Permit(self))
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.state().trouble.as_ref().map(|trouble| trouble.message.clone())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    pub(super) fn worked(self) {
        *self.0.state() = State::default();
    }

    /// Begins a pause: as long as was asked for, else longer with each failure. Gives the error for who made the call.
    pub(super) fn failed(self, now: Instant, message: String, asked: Option<Duration>) -> Error {
        let mut state = self.0.state();
        // Calls that were under way together fail together, once.
        if state.trouble.as_ref().is_none_or(|trouble| trouble.trying) {
            state.failures += 1;
        }
        let pause = asked.unwrap_or_else(|| self.0.backoff.after(state.failures));
        state.trouble = Some(Trouble { message: message.clone(), until: now + pause, trying: false });
        drop(state);
        Error::Away { message, retry_after: Some(pause) }
    }
}

impl Drop for Permit<'_> {
    /// A call that was given up leaves the trying to the next.
    fn drop(&mut self) {
        if let Some(trouble) = &mut self.0.state().trouble {
            trouble.trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) })
    }

    fn pause(error: Error) -> Duration {
        let Error::Away { retry_after: Some(pause), .. } = error else { panic!("{error}") };
        pause
    }

    #[test]
    fn after_the_pause_one_call_tries_and_its_success_lets_all_in() {
        let (breaker, began, asked) = (breaker(), Instant::now(), Duration::from_secs(30));
        breaker.enter(began).unwrap().failed(began, "gone".to_owned(), Some(asked));
        assert_eq!(pause(breaker.enter(began).err().unwrap()), asked);
        assert_eq!(breaker.trouble().as_deref(), Some("gone"));
        let later = began + asked;
        let first = breaker.enter(later).unwrap();
        assert!(breaker.enter(later).is_err(), "one at a time");
        drop(first);
        breaker.enter(later).unwrap().worked();
        let _both = (breaker.enter(later).unwrap(), breaker.enter(later).unwrap());
        assert_eq!(breaker.trouble(), None);
    }

    #[test]
    fn pauses_grow_with_failures_in_a_row_and_not_with_calls_side_by_side() {
        let (breaker, began) = (breaker(), Instant::now());
        let together = [(); 3].map(|()| breaker.enter(began).unwrap());
        for permit in together {
            assert!(pause(permit.failed(began, "gone".to_owned(), None)) <= Duration::from_secs(2));
        }
        let later = began + Duration::from_secs(2);
        let second = pause(breaker.enter(later).unwrap().failed(later, "gone".to_owned(), None));
        assert!((2..=4).contains(&second.as_secs()), "{second:?}");
    }
}
