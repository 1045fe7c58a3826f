//! How Typesense is run and asked whether it is ready.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::error::Error;
use super::home::{Home, Secret};
use super::pins::Server;
use super::process::arguments;
use super::running::Engine;
use super::typesense::TypesenseOptions;

/// An answer over loopback that takes longer is asked for anew.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

const DATA: &str = "--data-dir=";
const API_PORT: &str = "--api-port=";
const PEERING_PORT: &str = "--peering-port=";

#[derive(Debug)]
pub(super) struct TypesenseEngine {
    pub(super) program: PathBuf,
    pub(super) client: reqwest::Client,
    pub(super) home: Home,
    pub(super) log: PathBuf,
    pub(super) api_key: Secret,
    pub(super) options: TypesenseOptions,
}

/// A client for asking whether the server is ready; a proxy of the user's is none of its business.
pub(super) fn client() -> Result<reqwest::Client, Error> {
    // reqwest wants to know whose cryptography, also for plain http; whoever came first has said so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN);
    // The server outlives runtimes in tests, connections don't: keep none.
    builder.pool_max_idle_per_host(0).build().map_err(Error::Client)
}

impl Engine for TypesenseEngine {
    const SERVER: Server = Server::Typesense;
    const PROGRAM: &'static str = "typesense-server";
    const PORTS: usize = 2;
    const STOP: &'static [(Signal, Duration)] =
        &[(Signal::SIGTERM, Duration::from_secs(30)), (Signal::SIGKILL, Duration::from_secs(5))];
    const PORT_TAKEN: &'static [&'static str] = &["Failed to listen on", "Fail to listen"];
    const NOT_YET_GONE: &'static str = "already being used by another Typesense server";

    fn home(&self) -> &Home {
        &self.home
    }

    fn command(&self, ports: &[u16]) -> Command {
        let data = self.home.data();
        let mut command = Command::new(&self.program);
        command
            .current_dir(&data)
            .arg(format!("{DATA}{}", data.display()))
            .arg(format!("--log-dir={}", self.log.display()))
            .args(["--api-address=127.0.0.1", "--peering-address=127.0.0.1"])
            .arg(format!("{API_PORT}{}", ports[0]))
            .arg(format!("{PEERING_PORT}{}", ports[1]))
            .arg("--enable-cors=false")
            .args(&self.options.arguments);
        command
    }

    /// Everybody on the machine can read command lines, so the key isn't on it.
    fn environment(&self) -> Vec<(&'static str, &str)> {
        vec![("TYPESENSE_API_KEY", self.api_key.expose())]
    }

    async fn is_ready(&self, _pid: u32, ports: &[u16]) -> Result<bool, Error> {
        // `/health` asks for no key and a stranger's server would answer it, so try the key first.
        let base = format!("http://127.0.0.1:{}", ports[0]);
        let key = ("X-TYPESENSE-API-KEY", self.api_key.expose());
        let debug = self.client.get(format!("{base}/debug")).header(key.0, key.1).send().await;
        if !debug.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(false);
        }
        let health = self.client.get(format!("{base}/health")).send().await;
        Ok(health.is_ok_and(|answer| answer.status().is_success()))
    }

    /// It opens files by their whole path: where the folder has been moved since, it is of no use.
    fn is_of_use(&self, pid: u32) -> bool {
        arguments(pid).contains(&format!("{DATA}{}", self.home.data().display()))
    }

    fn ports_of(&self, pid: u32) -> Option<Vec<u16>> {
        parse_ports(&arguments(pid))
    }
}

fn parse_ports(arguments: &[String]) -> Option<Vec<u16>> {
    let port = |flag| arguments.iter().find_map(|argument| argument.strip_prefix(flag)?.parse().ok());
    Some(vec![port(API_PORT)?, port(PEERING_PORT)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_the_ports() {
        let line = "typesense-server --data-dir=/p --api-port=20001 --peering-port=20002 --x";
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(parse_ports(&arguments), Some(vec![20_001, 20_002]));
        assert_eq!(parse_ports(&arguments[..3]), None);
    }
}
