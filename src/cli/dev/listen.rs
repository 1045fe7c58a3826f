//! The port of the API.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use anyhow::{Context, bail};
use tidewell::dev;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait until the front end is ready.
const WAITING: u32 = 1024;

/// Takes the address, on another port where one is given.
pub(super) fn on(address: SocketAddr, port: Option<u16>, folder: &Path) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(address.ip(), port.unwrap_or(address.port()));
    match bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match dev::holder(folder) {
            Some(pid) => bail!("`tidewell dev` is running in this folder already (process {pid})"),
            None => bail!(
                "port {} is taken by another program: choose another with --port or TIDEWELL_LISTEN",
                address.port()
            ),
        },
        bound => {
            bound.with_context(|| format!("can't listen on {address}: choose another with --port or TIDEWELL_LISTEN"))
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Else a port stays barred for a minute after its connections have ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// The address as somebody on this machine calls it.
pub(super) fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_called_on_loopback() {
        assert_eq!(url("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
        assert_eq!(url("[::]:80".parse().unwrap()), "http://[::1]:80");
        assert_eq!(url("10.0.0.7:80".parse().unwrap()), "http://10.0.0.7:80");
    }

    #[tokio::test]
    async fn a_stranger_on_the_port_is_told_with_the_way_out() {
        let stranger = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = on(stranger.local_addr().unwrap(), None, Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.contains("--port") && error.contains("TIDEWELL_LISTEN"), "{error}");
    }
}
