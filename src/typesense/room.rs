//! How much room a node has left.

use reqwest::Method;
use serde::Deserialize;

use super::{Client, Error};

/// Shares in use, from 0 to 1, of the machine that a node runs on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    pub disk_used: f64,
    pub memory_used: f64,
}

/// Numbers as texts.
#[derive(Deserialize)]
struct Metrics {
    system_disk_total_bytes: String,
    system_disk_used_bytes: String,
    system_memory_total_bytes: String,
    system_memory_used_bytes: String,
}

impl Client {
    /// How much room the node that answers has left; `None` where it does not tell.
    pub async fn room(&self) -> Result<Option<Room>, Error> {
        let metrics: Metrics = self.send_json(self.request(Method::GET, "/metrics.json")).await?;
        let disk_used = share(&metrics.system_disk_used_bytes, &metrics.system_disk_total_bytes);
        let memory_used = share(&metrics.system_memory_used_bytes, &metrics.system_memory_total_bytes);
        Ok(disk_used.zip(memory_used).map(|(disk_used, memory_used)| Room { disk_used, memory_used }))
    }
}

fn share(used: &str, total: &str) -> Option<f64> {
    let (used, total): (f64, f64) = (used.parse().ok()?, total.parse().ok()?);
    (total > 0.0).then(|| used / total)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_is_of_what_there_is() {
        assert_eq!(share("50", "200"), Some(0.25));
        assert_eq!([share("1", "0"), share("", "9")], [None, None]);
    }
}
