//! What is counted: the catalogue of all metrics, and the process's recorder that keeps the numbers.

mod catalogue;

use std::{
    collections::BTreeSet,
    fmt::Write,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use sqlx::PgPool;

pub use catalogue::*;

/// The recorder is the process's, as the `metrics` facade wants it, so its handle is, too.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Of what [`rendered`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is looked at anew for each scrape.
static LOOKS: Mutex<Vec<Box<dyn Fn() + Send>>> = Mutex::new(Vec::new());

/// Timings pile up in memory until they are put into their buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Installs the recorder that [`rendered`] reads, once in a process, and keeps it up for as long as the process lives. To be
/// called within the runtime.
///
/// # Errors
/// Where the process has a recorder already.
pub fn install() -> Result<(), BuildError> {
    let recorded = || RECORDED.iter().flat_map(|group| group.metrics);
    let mut builder = PrometheusBuilder::new();
    for metric in recorded() {
        if let Kind::Histogram(buckets) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
    }
    let handle = builder.install_recorder()?;
    for Metric { name, kind, help, .. } in recorded() {
        match kind {
            Kind::Counter => describe_counter!(*name, *help),
            Kind::Gauge => describe_gauge!(*name, *help),
            Kind::Histogram(_) => describe_histogram!(*name, *help),
        }
    }
    recorded().filter(|metric| metric.kind == Kind::Counter).for_each(begin);
    gauge!(BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION")).set(1);
    let process = Collector::default();
    process.describe();
    at_scrape(move || process.collect());
    let handle = RECORDER.get_or_init(|| handle);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            handle.run_upkeep();
        }
    });
    Ok(())
}

/// Lets a counter whose series are known begin at 0: of a series that begins at 3 nobody sees the increase.
fn begin(counter: &Metric) {
    let mut series: Vec<Vec<metrics::Label>> = vec![vec![]];
    for (name, values) in counter.labels {
        let with = |of: &Vec<metrics::Label>| {
            let of = of.clone();
            values
                .iter()
                .map(move |value| [of.clone(), vec![metrics::Label::new(*name, *value)]].concat())
                .collect::<Vec<_>>()
        };
        series = series.iter().flat_map(with).collect();
    }
    for labels in series {
        counter!(counter.name, labels).increment(0);
    }
}

/// Has something looked at before each scrape, for as long as the process lives.
pub fn at_scrape(look: impl Fn() + Send + 'static) {
    LOOKS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(look));
}

/// Shows how much of a pool is used; `of` is whose it is.
pub fn show_pool(of: &'static str, pool: &PgPool) {
    let pool = pool.clone();
    at_scrape(move || {
        let idle = pool.num_idle();
        gauge!(CONNECTIONS.name, "of" => of, "state" => "idle").set(idle as f64);
        gauge!(CONNECTIONS.name, "of" => of, "state" => "used").set((pool.size() as usize).saturating_sub(idle) as f64);
        gauge!(CONNECTIONS_LIMIT.name, "of" => of).set(pool.options().get_max_connections());
    });
}

/// What the process has counted, in Prometheus' text format; empty without a recorder. Metrics that have no series yet are named all
/// the same, so that a look at one process tells what there is.
pub fn rendered() -> String {
    let Some(recorder) = RECORDER.get() else { return String::new() };
    LOOKS.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|look| look());
    let mut text = recorder.render();
    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let typed: BTreeSet<String> = typed.map(str::to_owned).collect();
    for metric in RECORDED.iter().flat_map(|group| group.metrics).filter(|metric| !typed.contains(metric.name)) {
        head(&mut text, metric);
    }
    text
}

/// Writes one gauge that is not kept in the recorder.
pub fn write_gauge<'a>(
    text: &mut String,
    metric: &Metric,
    values: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, f64)>,
) {
    head(text, metric);
    for (labels, value) in values {
        let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing into a string can't fail.
        let _ = writeln!(text, "{}{labels} {value}", metric.name);
    }
}

fn head(text: &mut String, Metric { name, help, kind, .. }: &Metric) {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_written_as_prometheus_reads_it() {
        let mut text = String::new();
        write_gauge(&mut text, &LANES_LEASED, [(vec![("index", "a\"\\\nb"), ("organization", "o")], 3.0)]);
        write_gauge(&mut text, &SYNC_AGE, []);
        write_gauge(&mut text, &DOUBTED_FLIGHTS, [(vec![], 0.5)]);
        let expected = "# HELP tidewell_lanes_leased Lanes that a worker holds.\n# TYPE tidewell_lanes_leased gauge\n\
                        tidewell_lanes_leased{index=\"a\\\"\\\\\\nb\",organization=\"o\"} 3\n\
                        # HELP tidewell_sync_age_seconds How old the collection's data is, as of the last good sync.\n\
                        # TYPE tidewell_sync_age_seconds gauge\n\
                        # HELP tidewell_doubted_flights Requests to Typesense whose end is not known.\n\
                        # TYPE tidewell_doubted_flights gauge\ntidewell_doubted_flights 0.5\n";
        assert_eq!(text, expected);
    }
}
