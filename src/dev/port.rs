//! Free ports of the loopback interface.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// The lowest port handed out, above what well-known services use.
const LOWEST: u16 = 20_000;

/// How often chance may hit a port in use before the system is asked for one.
const TRIES: usize = 100;

/// Whether a server could listen on `port` now.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A port of the loopback interface that nobody listens on. Another may take it before its server does: then choose again.
///
/// Taken from below the range of ephemeral ports where there is room: while a server is down, a
/// client that keeps connecting to an ephemeral port can be given that very port as its own, is
/// connected to itself, and the server can't come back.
pub fn choose() -> io::Result<u16> {
    let end = ephemeral_start();
    if end > LOWEST + 1_000 {
        for _ in 0..TRIES {
            let port = rand::random_range(LOWEST..end);
            if is_free(port) {
                return Ok(port);
            }
        }
    }
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn ephemeral_start() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_port_is_free_and_a_bound_one_is_not() {
        let port = choose().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }
}
