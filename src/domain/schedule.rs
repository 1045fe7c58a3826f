//! When a sync is due: every so many minutes, or by a cron expression in a time zone.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::{Cron, parser::CronParser};

/// A schedule that has been read.
#[derive(Clone, Debug)]
pub enum Schedule {
    Every(TimeDelta),
    At(Box<Cron>, Tz),
    /// Only when somebody asks.
    Never,
}

/// What is wrong with a schedule: the field and what it must be.
pub type Fault = (&'static str, String);

impl Schedule {
    /// Reads a schedule. Five fields of cron, or six with seconds first; `timezone` is a name such as `Europe/Berlin`.
    pub fn parse(interval_minutes: Option<i32>, cron: Option<&str>, timezone: &str) -> Result<Self, Fault> {
        let zone: Tz = timezone.parse().map_err(|_| {
            (
                "timezone",
                format!("{timezone:?} is no time zone: write one of the IANA database, such as UTC or Europe/Berlin"),
            )
        })?;
        match (interval_minutes, cron) {
            (Some(_), Some(_)) => Err(("cron", "give either sync_interval_minutes or cron, not both".to_owned())),
            (Some(minutes), None) if minutes > 0 => Ok(Self::Every(TimeDelta::minutes(i64::from(minutes)))),
            (Some(_), None) => Err(("sync_interval_minutes", "must be 1 or more".to_owned())),
            (None, Some(text)) => {
                let parsed = CronParser::new().parse(text);
                let cron = parsed.map_err(|error| {
                    ("cron", format!("{text:?} can't be read ({error}): write minute, hour, day, month and weekday, such as \"0 3 * * *\""))
                })?;
                let schedule = Self::At(Box::new(cron), zone);
                // A day that never comes, such as the 30th of February.
                match schedule.next_after(DateTime::UNIX_EPOCH) {
                    Some(_) => Ok(schedule),
                    None => Err(("cron", format!("{text:?} never comes"))),
                }
            }
            (None, None) => Ok(Self::Never),
        }
    }

    /// The first moment after `now` at which a sync is due.
    pub fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Every(interval) => now.checked_add_signed(*interval),
            Self::At(cron, zone) => {
                cron.find_next_occurrence(&now.with_timezone(zone), false).ok().map(|next| next.with_timezone(&Utc))
            }
            Self::Never => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_cron_expression_is_of_its_time_zone_also_when_clocks_change() {
        let three = Schedule::parse(None, Some("0 3 * * *"), "Europe/Berlin").unwrap();
        assert_eq!(three.next_after(at("2026-01-10T12:00:00Z")), Some(at("2026-01-11T02:00:00Z")));
        assert_eq!(three.next_after(at("2026-07-10T12:00:00Z")), Some(at("2026-07-11T01:00:00Z")));
        // On the night when 2:30 does not exist, it still comes once.
        let half_past_two = Schedule::parse(None, Some("30 2 * * *"), "Europe/Berlin").unwrap();
        let next = half_past_two.next_after(at("2026-03-28T12:00:00Z")).unwrap();
        assert!(next > at("2026-03-29T00:00:00Z") && next < at("2026-03-29T03:00:00Z"), "{next}");
    }

    #[test]
    fn an_interval_counts_from_now_and_no_schedule_never_comes() {
        let now = at("2026-01-10T12:00:00Z");
        assert_eq!(Schedule::parse(Some(15), None, "UTC").unwrap().next_after(now), Some(at("2026-01-10T12:15:00Z")));
        assert_eq!(Schedule::parse(None, None, "UTC").unwrap().next_after(now), None);
    }

    #[test]
    fn what_can_not_be_a_schedule_is_named() {
        for (minutes, cron, zone, field) in [
            (Some(0), None, "UTC", "sync_interval_minutes"),
            (Some(1), Some("* * * * *"), "UTC", "cron"),
            (None, Some("every day"), "UTC", "cron"),
            (None, Some("0 0 30 2 *"), "UTC", "cron"),
            (None, None, "Mars/Olympus", "timezone"),
        ] {
            assert_eq!(Schedule::parse(minutes, cron, zone).unwrap_err().0, field);
        }
    }
}
