//! The database's clock, the one that judges.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

/// The database's clock as it was once read, carried on by this process's monotonic clock: for what is judged too often to ask.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    read: DateTime<Utc>,
    asked: Instant,
}

impl Clock {
    /// `asked` is when the question was sent: what the answer took makes this clock fast rather than slow.
    pub fn new(read: DateTime<Utc>, asked: Instant) -> Self {
        Self { read, asked }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.read + self.asked.elapsed()
    }

    /// Whether a later reading agrees, give or take that much. It does not where this process's clock stood still, because the
    /// machine was asleep, or where the database's was set.
    pub fn agrees_with(&self, later: &Self, give_or_take: TimeDelta) -> bool {
        (self.now() - later.now()).abs() <= give_or_take
    }

    /// Whether that moment has come; what has none never ends.
    pub fn is_past(&self, end: Option<DateTime<Utc>>) -> bool {
        end.is_some_and(|end| end <= self.now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_comes_as_the_clock_goes_on() {
        let read = DateTime::UNIX_EPOCH;
        let a_minute_ago = Instant::now().checked_sub(Duration::from_secs(60)).expect("an instant");
        let clock = Clock::new(read, a_minute_ago);
        assert!(clock.is_past(Some(read + Duration::from_secs(60))));
        assert!(!clock.is_past(Some(read + Duration::from_secs(3600))));
        assert!(!clock.is_past(None));
    }

    #[test]
    fn clocks_agree_that_went_on_at_the_same_pace() {
        let (read, now) = (DateTime::UNIX_EPOCH, Instant::now());
        let earlier = Clock::new(read, now.checked_sub(Duration::from_secs(10)).expect("an instant"));
        let agrees =
            |seconds| earlier.agrees_with(&Clock::new(read + Duration::from_secs(seconds), now), TimeDelta::seconds(1));
        assert!(agrees(10));
        assert!(!agrees(60), "this machine slept");
        assert!(!agrees(0), "the database's clock was put back");
    }
}
