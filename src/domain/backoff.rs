//! When a failed row is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The schedule of retries: exponential from `base`, never longer than `cap` before the jitter is added.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub base: Duration,
    pub cap: Duration,
}

impl Backoff {
    /// How long to wait after the `attempt`-th failure (1 is the first): `base · 2^(attempt-1)`, at most `cap`, plus a jitter
    /// of up to the same again, so that rows that failed together don't come back together.
    pub fn after(&self, attempt: u32) -> Duration {
        ExponentialBuilder::default()
            .with_min_delay(self.base)
            .with_max_delay(self.cap)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build()
            .nth(attempt.saturating_sub(1) as usize)
            .unwrap_or(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_with_a_jitter_of_at_most_the_same_again() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };
        for (attempt, least) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (40, 60)] {
            let least = Duration::from_secs(least);
            for _ in 0..50 {
                let wait = backoff.after(attempt);
                assert!(wait >= least && wait <= 2 * least, "attempt {attempt}: {wait:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_schedule_and_the_attempt_the_wait_is_bounded_and_never_shrinks(
            base in 1..100_000u64, times in 1..1000u64, attempt in 1..=u32::from(i16::MAX.unsigned_abs()),
        ) {
            let (base, cap) = (Duration::from_millis(base), Duration::from_millis(base * times));
            let least = |attempt: u32| base.saturating_mul(2u32.saturating_pow(attempt - 1)).min(cap);
            let wait = Backoff { base, cap }.after(attempt);
            prop_assert!(wait >= least(attempt) && wait <= 2 * least(attempt), "{wait:?}");
            prop_assert!(least(attempt + 1) >= least(attempt));
        }
    }

    #[test]
    fn two_rows_that_failed_together_do_not_return_together() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };
        let waits: std::collections::HashSet<_> = (0..20).map(|_| backoff.after(3)).collect();
        assert!(waits.len() > 10);
    }
}
