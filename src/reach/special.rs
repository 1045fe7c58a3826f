//! What kind of address one is.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use ipnet::IpNet;

/// What an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    /// This machine, or a network that is somebody's own.
    Private,
    /// Nothing that anybody runs a database at.
    Special,
}

const PRIVATE: [&str; 11] = [
    "10.0.0.0/8",
    // Between a provider and its customers.
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    // Of benchmarks between networks.
    "198.18.0.0/15",
    "::1/128",
    // A translation to IPv4 of the network's own, whose prefix is as long as it likes.
    "64:ff9b:1::/48",
    "fc00::/7",
    "fec0::/10",
];

const SPECIAL: [&str; 13] = [
    "0.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    // The broadcast address is the last of these.
    "240.0.0.0/4",
    "::/128",
    "fe80::/10",
    "ff00::/8",
    // Where clouds tell their machines' secrets, beside 169.254.169.254: Alibaba, Oracle, Azure, Amazon, Google.
    "100.100.100.200/32",
    "192.0.0.192/32",
    "168.63.129.16/32",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
    // Discards whatever comes.
    "100::/64",
];

static NETWORKS: LazyLock<(Vec<IpNet>, Vec<IpNet>)> = LazyLock::new(|| {
    let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a network")).collect();
    (parsed(&SPECIAL), parsed(&PRIVATE))
});

pub(super) fn kind(address: IpAddr) -> Kind {
    let (special, private) = &*NETWORKS;
    let is_of = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
    if is_of(special) {
        Kind::Special
    } else if is_of(private) {
        Kind::Private
    } else {
        Kind::Public
    }
}

/// The IPv4 address that a router on the way makes of one of IPv6.
pub(super) fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match (a, b) {
        _ if address == Ipv6Addr::LOCALHOST || address.is_unspecified() => None,
        // IPv4-compatible, and the like of it with `ffff:0`.
        (0, 0) if [c, d, e, f] == [0; 4] || [c, d, e, f] == [0, 0, 0xffff, 0] => v4(g, h),
        // NAT64.
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => v4(g, h),
        // 6to4.
        (0x2002, _) => v4(b, c),
        // Teredo: the client's, inverted.
        (0x2001, 0) => v4(!g, !h),
        _ => None,
    }
}
