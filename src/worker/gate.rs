//! The gate before the backend: how many imports go side by side, and whether any may go at all.
//!
//! The number climbs from a small start by hill climbing on the measured throughput: one more import while that brings more
//! documents a second, one fewer where it brings no less. A backend that is down or refuses work opens the breaker: nothing is
//! sent, and no row's attempts are spent, until a probe succeeds: a write that changes nothing.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use metrics::counter;
use tokio::sync::Notify;

use super::Worker;
use crate::{domain::backoff::Backoff, metrics::BREAKER_TRANSITIONS};

const START: usize = 2;
/// A measurement takes at least this long and this many imports for each place.
const WINDOW: Duration = Duration::from_secs(1);
const WINDOW_IMPORTS: usize = 3;
/// A measurement older than this is no reason to stay away from another number of imports.
const REMEMBERED: Duration = Duration::from_secs(30);
/// One more import must bring so much more to be worth it.
const WORTH: f64 = 1.03;
/// Between probes of a backend that is down.
const PROBES: Backoff = Backoff { base: Duration::from_millis(250), cap: Duration::from_secs(5) };

pub(super) struct Gate {
    inner: Mutex<Inner>,
    /// Rung when a place becomes free, or the breaker changes.
    changed: Notify,
    well_again: Notify,
    max: usize,
}

struct Inner {
    limit: usize,
    in_use: usize,
    breaker: Breaker,
    /// Outages in a row, without a success between them.
    outages: u32,
    window: Window,
    /// Documents a second with 1, 2, … imports side by side, and when that was seen.
    rates: Vec<Option<(f64, Instant)>>,
}

#[derive(Clone)]
enum Breaker {
    Closed,
    Open {
        reason: String,
    },
    /// One import may try.
    HalfOpen,
}

struct Window {
    since: Instant,
    imports: usize,
    documents: usize,
    /// Whether somebody had to wait: else more places would bring nothing.
    full: bool,
}

impl Window {
    fn new() -> Self {
        Self { since: Instant::now(), imports: 0, documents: 0, full: false }
    }
}

/// The breaker is open.
#[derive(Debug)]
pub(super) struct Paused;

/// The right to send one import.
pub(super) struct Permit<'a>(&'a Gate);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.lock().in_use -= 1;
        self.0.changed.notify_waiters();
    }
}

impl Gate {
    pub(super) fn new(max: usize) -> Self {
        let inner = Inner {
            limit: START.min(max),
            in_use: 0,
            breaker: Breaker::Closed,
            outages: 0,
            window: Window::new(),
            rates: vec![None; max],
        };
        Self { inner: Mutex::new(inner), changed: Notify::new(), well_again: Notify::new(), max }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, if one is free now.
    fn try_permit(&self) -> Result<Option<Permit<'_>>, Paused> {
        let mut inner = self.lock();
        let limit = match inner.breaker {
            Breaker::Open { .. } => return Err(Paused),
            Breaker::HalfOpen => 1,
            Breaker::Closed => inner.limit,
        };
        if inner.in_use < limit {
            inner.in_use += 1;
            Ok(Some(Permit(self)))
        } else {
            inner.window.full = true;
            Ok(None)
        }
    }

    /// A place, as soon as one is free.
    pub(super) async fn permit(&self) -> Result<Permit<'_>, Paused> {
        loop {
            let changed = self.changed.notified();
            if let Some(permit) = self.try_permit()? {
                return Ok(permit);
            }
            changed.await;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.lock().breaker, Breaker::Open { .. })
    }

    /// `closed`, `open` or `half_open`; why; and how many imports go side by side.
    pub(super) fn state(&self) -> (&'static str, Option<String>, usize) {
        let inner = self.lock();
        match &inner.breaker {
            Breaker::Closed => ("closed", None, inner.limit),
            Breaker::Open { reason } => ("open", Some(reason.clone()), 0),
            Breaker::HalfOpen => ("half_open", None, 1),
        }
    }

    /// Imports that are under way.
    pub(super) fn in_use(&self) -> usize {
        self.lock().in_use
    }

    /// An import of `documents` was answered.
    pub(super) fn succeeded(&self, documents: usize) {
        let mut inner = self.lock();
        inner.outages = 0;
        if !matches!(inner.breaker, Breaker::Closed) {
            inner.breaker = Breaker::Closed;
            turned("closed");
            inner.window = Window::new();
        }
        inner.window.imports += 1;
        inner.window.documents += documents;
        let elapsed = inner.window.since.elapsed();
        if elapsed >= WINDOW && inner.window.imports >= WINDOW_IMPORTS * inner.limit {
            let rate = inner.window.documents as f64 / elapsed.as_secs_f64();
            if inner.window.full {
                let limit = inner.limit;
                inner.rates[limit - 1] = Some((rate, Instant::now()));
                inner.limit = climb(&inner.rates, limit, self.max);
            }
            inner.window = Window::new();
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// The backend refuses work or can't be reached: nothing more is sent until it is well again.
    pub(super) fn trip(&self, reason: &str) {
        let mut inner = self.lock();
        if !matches!(inner.breaker, Breaker::Open { .. }) {
            tracing::warn!(reason, "the backend is in trouble: imports pause");
            inner.outages += 1;
            inner.limit = (inner.limit / 2).max(1);
            inner.breaker = Breaker::Open { reason: reason.to_owned() };
            turned("open");
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Probes a backend that is down until it is well, and half-opens the breaker then.
    pub(super) async fn attend(&self, worker: &Worker) {
        let shutdown = &worker.shutdown;
        let mut probes = 0;
        while !shutdown.is_cancelled() {
            // Before the look at the breaker: one that opens in between is not missed.
            let changed = self.changed.notified();
            let wait = if self.is_open() {
                probes += 1;
                let outages = self.lock().outages;
                PROBES.after(probes.max(outages))
            } else {
                probes = 0;
                Duration::MAX
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = changed, if probes == 0 => continue,
                () = tokio::time::sleep(wait.min(PROBES.cap * 2)) => {}
            }
            let is_well = shutdown.run_until_cancelled(worker.backend_is_well());
            if self.is_open() && is_well.await == Some(true) {
                tracing::info!("the backend is well again: imports resume");
                self.lock().breaker = Breaker::HalfOpen;
                turned("half_open");
                self.changed.notify_waiters();
                self.well_again.notify_one();
            }
        }
    }

    /// Returns when a backend that was down is well again.
    pub(super) async fn opened_again(&self) {
        self.well_again.notified().await;
    }
}

/// Counts a change of the breaker.
fn turned(to: &'static str) {
    counter!(BREAKER_TRANSITIONS.name, "to" => to).increment(1);
}

/// Where to go from `limit` imports, by what each number has brought lately.
fn climb(rates: &[Option<(f64, Instant)>], limit: usize, max: usize) -> usize {
    let rate_of = |limit: usize| rates[limit - 1].filter(|(_, seen)| seen.elapsed() < REMEMBERED).map(|(rate, _)| rate);
    let here = rate_of(limit).unwrap_or_default();
    if limit < max && rate_of(limit + 1).is_none_or(|above| above > here * WORTH) {
        limit + 1
    } else if limit > 1 && rate_of(limit - 1).is_none_or(|below| below * WORTH > here) {
        limit - 1
    } else {
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the climb comes to rest on a backend whose throughput with `n` imports is `throughput[n - 1]`.
    fn rests_at(throughput: &[f64]) -> usize {
        let mut rates = vec![None; throughput.len()];
        let mut limit = START;
        for _ in 0..20 {
            rates[limit - 1] = Some((throughput[limit - 1], Instant::now()));
            limit = climb(&rates, limit, throughput.len());
        }
        limit
    }

    #[test]
    fn concurrency_climbs_to_where_throughput_stops_growing() {
        assert_eq!(rests_at(&[10.0, 20.0, 30.0, 40.0, 40.0, 40.0, 40.0, 40.0]), 4);
        assert_eq!(rests_at(&[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0]), 8);
        assert_eq!(rests_at(&[10.0, 9.0, 8.0, 7.0, 7.0, 7.0, 7.0, 7.0]), 1);
    }

    #[test]
    fn an_open_breaker_lets_nothing_through_and_a_half_open_one_a_single_import() {
        let gate = Gate::new(8);
        gate.trip("down");
        assert!(gate.try_permit().is_err());
        gate.lock().breaker = Breaker::HalfOpen;
        let first = gate.try_permit().unwrap();
        assert!(first.is_some());
        assert!(gate.try_permit().unwrap().is_none());
        gate.succeeded(1);
        assert_eq!(gate.state().0, "closed");
    }

    #[tokio::test]
    async fn whoever_waits_for_a_place_gets_the_next_one() {
        let gate = Gate::new(1);
        let held = gate.permit().await.unwrap();
        let waiting = gate.permit();
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(held);
        assert!(waiting.await.is_ok());
    }
}
