//! Which addresses are connected to where others have named them: backends of table syncs, source databases, a model. Else whoever may
//! name one could have this machine speak to what only it can reach: its cloud's metadata, its neighbours.
//!
//! What counts is the address that a connection is made to, judged each time that a name is looked up, so that no name passes first and
//! leads elsewhere afterwards. The policy is the process's, as its TLS provider is: a connection that had to be handed it could be made
//! without. What the settings name themselves (the control database and its Typesense) is trusted.

mod postgres;
mod special;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::OnceLock,
};

use futures::future::BoxFuture;
use ipnet::IpNet;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

pub use postgres::postgres;
use special::{Kind, embedded, kind};

static POLICY: OnceLock<Policy> = OnceLock::new();

/// Sets the process's policy, before anything is connected to. A second one has no effect.
pub fn install(policy: Policy) {
    let _ = POLICY.set(policy);
}

/// The process's policy; the default one where none was installed.
pub fn policy() -> &'static Policy {
    POLICY.get_or_init(Policy::default)
}

/// Which addresses may be connected to.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether private networks and this machine are.
    pub private: bool,
    /// What is in any case.
    pub allowed: Vec<IpNet>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { private: true, allowed: Vec::new() }
    }
}

/// Why an address is not connected to. The text repeats none: where a name leads within this network is not the caller's to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "this leads to a link-local, metadata, multicast or reserved address, which is never connected to, unless the operator \
         names it in TIDEWELL_ALLOWED_ADDRESSES"
    )]
    Special,
    #[error(
        "this leads to a private address, which is not connected to here: the operator can name it in TIDEWELL_ALLOWED_ADDRESSES, or \
         set TIDEWELL_PRIVATE_ADDRESSES to true"
    )]
    Private,
}

impl Policy {
    /// Judges an address.
    pub fn judge(&self, address: IpAddr) -> Result<(), Refused> {
        let address = address.to_canonical();
        if self.allowed.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        if let Some(inner) = embedded(address) {
            self.judge(inner.into())?;
        }
        match kind(address) {
            Kind::Special => Err(Refused::Special),
            Kind::Private if !self.private => Err(Refused::Private),
            Kind::Private | Kind::Public => Ok(()),
        }
    }

    /// Judges a host as it stands in a URL, an address in whatever notation. A name passes: where it leads is judged when it is
    /// connected to.
    pub fn judge_host(&self, host: &str) -> Result<(), Refused> {
        // As the URLs of HTTP are read, where 2852039166 and 0xa9.0xfe.43518 are addresses, too.
        let url = Url::parse(&format!("http://{host}/"));
        let host = url.as_ref().ok().and_then(Url::host_str).unwrap_or(host);
        host.trim_matches(['[', ']']).parse().map_or(Ok(()), |address| self.judge(address))
    }

    /// Judges what a socket on this machine is.
    pub fn judge_socket(&self) -> Result<(), Refused> {
        if self.private { Ok(()) } else { Err(Refused::Private) }
    }

    /// Those of a name's addresses that may be connected to.
    ///
    /// # Errors
    /// Where there are addresses, and none may.
    fn admit(&self, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let mut refused = None;
        let admitted = addresses.into_iter().filter(|address| match self.judge(address.ip()) {
            Ok(()) => true,
            Err(reason) => {
                refused = Some(reason);
                false
            }
        });
        let admitted: Vec<_> = admitted.collect();
        if admitted.is_empty() { refused.map_or(Ok(admitted), Err) } else { Ok(admitted) }
    }

    /// A name's addresses, for who tries one after the other whichever they are.
    ///
    /// # Errors
    /// Where one of them may not be connected to.
    fn admit_whole(&self, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        addresses.iter().try_for_each(|address| self.judge(address.ip()))?;
        Ok(addresses)
    }
}

/// The addresses of a host that may be connected to.
///
/// # Errors
/// Where the name can't be looked up; of the kind [`io::ErrorKind::PermissionDenied`], with [`Refused`] within, where none may be.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Resolver { policy: policy(), look_up: system }.resolve_host(host, port).await
}

fn refused(refused: Refused) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, refused)
}

/// [`Refused`], where that is why a connection was not made.
pub fn refusal(error: &io::Error) -> Option<Refused> {
    error.get_ref()?.downcast_ref().copied()
}

/// What looks up the names of a client of HTTP. Addresses in URLs pass it by: see [`Policy::judge_host`].
pub fn resolver() -> impl Resolve + 'static {
    Resolver { policy: policy(), look_up: system }
}

type LookUp = fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

fn system(host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
}

struct Resolver<'a> {
    policy: &'a Policy,
    look_up: LookUp,
}

impl Resolver<'_> {
    async fn resolve_host(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = (self.look_up)(host.to_owned(), port).await?;
        self.policy.admit(found).map_err(refused)
    }
}

impl Resolve for Resolver<'static> {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = Self { ..*self };
        Box::pin(async move {
            let admitted = resolver.resolve_host(name.as_str(), 0).await?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
