//! Who uses how much of the processors, from `/proc`.

use std::{fs, time::Instant};

use super::report::Row;

/// Linux counts processor time for programs in hundredths of a second, whatever its own clock does.
const TICKS_A_SECOND: f64 = 100.0;

/// A process to watch; with `children` also those that it has, or had and has waited for.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    pub(crate) children: bool,
}

/// Processor time of several processes since a moment.
pub(crate) struct Meter {
    since: Instant,
    watched: Vec<(Watched, f64)>,
}

impl Meter {
    /// The name that this process goes by.
    pub(crate) const SELF: &str = "bench";

    /// Watches these processes, and this one.
    pub(crate) fn start(mut watched: Vec<Watched>) -> Self {
        watched.push(Watched { name: Self::SELF, pid: std::process::id(), children: false });
        let watched = watched.into_iter().map(|one| (one.clone(), seconds(&one))).collect();
        Self { since: Instant::now(), watched }
    }

    /// Processors used by each on average, and the seconds used.
    pub(crate) fn stop(self) -> Vec<Used> {
        let elapsed = self.since.elapsed().as_secs_f64();
        let used = |(watched, before): (Watched, f64)| {
            let seconds = seconds(&watched) - before;
            Used { name: watched.name, seconds, processors: seconds / elapsed }
        };
        self.watched.into_iter().map(used).collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) name: &'static str,
    pub(crate) seconds: f64,
    pub(crate) processors: f64,
}

/// Rows that say what a thousand documents cost; `rounds` hold the same processes in the same order.
pub(crate) fn rows(of: &str, rounds: &[Vec<Used>], documents: usize) -> Vec<Row> {
    let Some(first) = rounds.first() else { return Vec::new() };
    let row = |n: usize, name: &str| {
        let sum = |of: fn(&Used) -> f64| rounds.iter().map(|round| of(&round[n])).sum::<f64>();
        let milliseconds = sum(|used| used.seconds) * 1e6 / (documents * rounds.len()) as f64;
        Row::plain(&format!("{of}_cpu_{name}"), milliseconds, "ms/1000")
            .note(format!("processor time; {:.2} processors", sum(|used| used.processors) / rounds.len() as f64))
    };
    first.iter().enumerate().map(|(n, used)| row(n, used.name)).collect()
}

/// Processor seconds of a process so far; 0 for one that is gone.
pub(crate) fn seconds(watched: &Watched) -> f64 {
    let Some((_, own, waited_for)) = times(watched.pid) else { return 0.0 };
    if !watched.children {
        return own / TICKS_A_SECOND;
    }
    let children = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let (parent, own, _) = times(entry.file_name().to_str()?.parse().ok()?)?;
        (parent == watched.pid).then_some(own)
    });
    (own + waited_for + children.sum::<f64>()) / TICKS_A_SECOND
}

/// The parent, and the ticks used by a process itself and by the children that it has waited for.
fn times(pid: u32) -> Option<(u32, f64, f64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |n: usize| fields.get(n)?.parse::<f64>().ok();
    Some((fields.get(1)?.parse().ok()?, number(11)? + number(12)?, number(13)? + number(14)?))
}
