//! Picks out what is said of jobs, reindexes, sync jobs and runs.

use std::time::Instant;

use tokio::sync::mpsc::Sender;
use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id},
};
use tracing_subscriber::{
    layer::{self, Context},
    registry::LookupSpan,
};
use uuid::Uuid;

use super::{
    Line, ROOM,
    heard::{Heard, has_subject},
    lose,
};

const ACCEPTING: &str = "tidewell::ingest";
/// Room that is left to warnings: a flood of what went well must not wash away what went wrong.
const KEPT_FREE: usize = ROOM / 2;

/// Hands lines to its journal.
pub struct Layer {
    lines: Sender<Line>,
}

/// What a span is about.
struct Subject(Uuid);

impl Layer {
    pub(super) fn new(lines: Sender<Line>) -> Self {
        Self { lines }
    }
}

/// Tidewell's own events, from `info` up. That a write was accepted is told by its job's being there: a line for each would be a second
/// write to the database for every one that somebody makes.
fn is_kept(of: &Metadata<'_>) -> bool {
    let is_ours = of.target() == "tidewell" || of.target().starts_with("tidewell::");
    *of.level() <= Level::INFO && is_ours && !of.target().starts_with(ACCEPTING)
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> layer::Layer<S> for Layer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !has_subject(attributes.metadata().fields()) {
            return;
        }
        let mut heard = Heard::default();
        attributes.record(&mut heard);
        if let (Some(subject), Some(span)) = (heard.subject(), context.span(id)) {
            span.extensions_mut().insert(Subject(subject));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !is_kept(event.metadata()) {
            return;
        }
        let mut spans = context.event_scope(event).into_iter().flatten();
        let around = spans.find_map(|span| span.extensions().get::<Subject>().map(|Subject(id)| *id));
        if around.is_none() && !has_subject(event.metadata().fields()) {
            return;
        }
        let mut heard = Heard::default();
        event.record(&mut heard);
        let Some(subject) = heard.subject().or(around) else { return };
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => "info",
        };
        let has_room = level != "info" || self.lines.capacity() > KEPT_FREE;
        let line = Line { subject, said: Instant::now(), level, message: heard.message, fields: heard.fields };
        if !has_room || self.lines.try_send(line).is_err() {
            lose(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const JOB: Uuid = Uuid::from_u128(1);
    const RUN: Uuid = Uuid::from_u128(2);

    /// What is picked out of what happens.
    fn picked(what: impl FnOnce()) -> Vec<Line> {
        let (lines, mut heard) = mpsc::channel(ROOM);
        let subscriber = tracing_subscriber::registry().with(Layer::new(lines));
        tracing::subscriber::with_default(subscriber, what);
        std::iter::from_fn(|| heard.try_recv().ok()).collect()
    }

    #[test]
    fn what_carries_the_id_of_a_job_is_picked_out_by_what_tells_most() {
        let lines = picked(|| {
            tracing::info!(accepted = 1, "of nothing");
            tracing::debug!(job_id = %JOB, "too fine");
            tracing::info!(target: "sqlx", job_id = %JOB, "somebody else's");
            tracing::info!(target: "tidewell::ingest::accept", job_id = %JOB, "accepted");
            tracing::warn!(job_id = %JOB, run_id = %RUN, reason = "a\0b", "a sync run waits");
            tracing::info!(job_id = "no id", "unreadable");
        });
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((line.subject, line.level, &*line.message), (RUN, "warn", "a sync run waits"));
        assert_eq!((&line.fields["job_id"], &line.fields["reason"]), (&JOB.to_string().into(), &"a\u{fffd}b".into()));
    }

    #[test]
    fn an_event_belongs_to_the_nearest_span_that_names_something() {
        let lines = picked(|| {
            let outer = tracing::info_span!("outer", job_id = %JOB).entered();
            tracing::info_span!("inner", n = 1).in_scope(|| tracing::info!("within"));
            tracing::info!(run_id = %RUN, "its own");
            drop(outer);
            tracing::info!("outside");
        });
        assert_eq!(lines.iter().map(|line| line.subject).collect::<Vec<_>>(), [JOB, RUN]);
    }

    #[test]
    fn secrets_are_left_out_and_long_texts_are_cut() {
        let lines = picked(|| tracing::info!(job_id = %JOB, api_key = "s3", text = "x".repeat(5000), "done"));
        assert!(!lines[0].fields.contains_key("api_key"));
        assert_eq!(lines[0].fields["text"].as_str().map(str::len), Some(1000));
    }

    #[test]
    fn a_flood_leaves_room_for_warnings_and_blocks_nobody() {
        let lines = picked(|| {
            for _ in 0..2 * ROOM {
                tracing::info!(job_id = %JOB, "run under way");
            }
            tracing::warn!(job_id = %JOB, "refused");
        });
        assert_eq!((lines.len(), lines[lines.len() - 1].level), (ROOM - KEPT_FREE + 1, "warn"));
    }
}
