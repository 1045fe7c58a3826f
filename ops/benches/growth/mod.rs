//! growth: what a document, an index and a sync job cost when there are few of them, and when there are many.
//!
//! Each ratio is the cost at the smallest size ÷ that at the largest: 1 is flat, less has grown.

mod documents;
mod indexes;
mod jobs;

use std::time::Duration;

use super::{
    Scale,
    cpu::{Meter, Used, Watched},
    report::Row,
    stack::Stack,
};

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let mut rows = documents::measure(stack, scale).await?;
    stack.tidy().await?;
    rows.extend(indexes::measure(stack, scale).await?);
    stack.tidy().await?;
    rows.extend(jobs::measure(stack, scale).await?);
    Ok(rows)
}

/// What several parts cost at several sizes.
struct Curves {
    of: &'static str,
    unit: &'static str,
    /// By part: sizes, and the cost at each.
    parts: Vec<(&'static str, Vec<(usize, f64)>)>,
}

impl Curves {
    fn new(of: &'static str, unit: &'static str) -> Self {
        Self { of, unit, parts: vec![] }
    }

    fn add(&mut self, part: &'static str, size: usize, cost: f64) {
        eprintln!("  {} {part} at {size}: {cost:.2} {}", self.of, self.unit);
        match self.parts.iter_mut().find(|(known, _)| *known == part) {
            Some((_, points)) => points.push((size, cost)),
            None => self.parts.push((part, vec![(size, cost)])),
        }
    }

    /// Adds what each process used, in seconds times `factor`.
    fn add_used(&mut self, size: usize, used: &[Used], factor: f64) {
        for used in used.iter().filter(|used| used.name != Meter::SELF) {
            self.add(used.name, size, used.seconds * factor);
        }
    }

    /// Each point, and for each part the largest size's cost beside the smallest's.
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (part, points) in &self.parts {
            let name = format!("growth_{}_{part}", self.of);
            for (size, cost) in points {
                rows.push(Row::plain(&format!("{name}_at_{size}"), *cost, self.unit));
            }
            let (Some((least, first)), Some((most, last))) = (points.first(), points.last()) else { continue };
            let note = format!("at {most}; limit: at {least}; ratio = limit ÷ value");
            rows.push(Row::bound(&name, *last, *first, self.unit).note(note));
        }
        rows
    }
}

/// Seconds of processor time a minute that these use while nothing happens.
async fn idle(watched: Vec<Watched>, scale: Scale) -> (Vec<Used>, f64) {
    let watch = Duration::from_secs(if scale.quick { 15 } else { 60 });
    let meter = Meter::start(watched);
    tokio::time::sleep(watch).await;
    (meter.stop(), 60.0 / watch.as_secs_f64())
}
