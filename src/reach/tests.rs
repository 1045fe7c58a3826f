use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

static OPEN: Policy = Policy { private: true, allowed: Vec::new() };
static CLOSED: Policy = Policy { private: false, allowed: Vec::new() };

#[test]
fn metadata_link_local_and_what_is_nobodys_is_refused_in_every_notation() {
    for host in [
        "169.254.169.254",
        "169.254.0.1",
        // Decimal, octal, hexadecimal, with parts left out.
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "0xa9.254.43518",
        "169.254.43518",
        "１６９.254.169.254",
        "0.0.0.0",
        "0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "[::]",
        "[fe80::1]",
        "[ff02::1]",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        // Mapped, compatible, translated, NAT64, 6to4, Teredo.
        "[::ffff:169.254.169.254]",
        "[::169.254.169.254]",
        "[::ffff:0:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:1:2:3:4:5601:5601]",
        "[::ffff:0.0.0.0]",
    ] {
        assert_eq!(OPEN.judge_host(host), Err(Refused::Special), "{host}");
    }
}

#[test]
fn private_networks_and_this_machine_are_as_the_policy_says() {
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "[::1]",
        "[fd12:3456::1]",
        "[fec0::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::a00:1]",
        "[2002:0a00:0001::]",
    ] {
        assert_eq!((OPEN.judge_host(host), CLOSED.judge_host(host)), (Ok(()), Err(Refused::Private)), "{host}");
    }
    assert_eq!((OPEN.judge_socket(), CLOSED.judge_socket()), (Ok(()), Err(Refused::Private)));
}

#[test]
fn public_addresses_and_names_pass() {
    for host in [
        "93.184.216.34",
        "172.32.0.1",
        "100.128.0.1",
        "[2606:4700::1111]",
        "[64:ff9b::5db8:d822]",
        "search.example.com",
        "localhost",
        "169.254.169.254.example.com",
        "%2Frun%2Fpostgresql",
    ] {
        assert_eq!(CLOSED.judge_host(host), Ok(()), "{host}");
    }
}

#[test]
fn what_is_allowed_by_name_is_reached_and_nothing_beside_it() {
    let allowed = ["10.1.0.0/16", "169.254.20.1/32", "::1/128"].map(|network| network.parse().unwrap());
    let policy = Policy { private: false, allowed: allowed.into() };
    for host in ["10.1.2.3", "169.254.20.1", "[::1]", "[::ffff:10.1.2.3]", "[64:ff9b::0a01:0203]"] {
        assert_eq!(policy.judge_host(host), Ok(()), "{host}");
    }
    assert_eq!(policy.judge_host("10.2.0.1"), Err(Refused::Private));
    assert_eq!(policy.judge_host("169.254.169.254"), Err(Refused::Special));
}

#[test]
fn of_a_names_addresses_those_are_taken_that_may_be_reached() {
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    let (good, bad) = ("93.184.216.34:1", "169.254.169.254:1");
    assert_eq!(OPEN.admit(addresses(&[bad, good])), Ok(addresses(&[good])));
    assert_eq!(OPEN.admit(addresses(&[bad, bad])), Err(Refused::Special));
    assert_eq!(OPEN.admit(vec![]), Ok(vec![]));
    assert_eq!(OPEN.admit_whole(addresses(&[good, bad])), Err(Refused::Special));
    assert_eq!(OPEN.admit_whole(addresses(&[good])), Ok(addresses(&[good])));
}

/// A name that leads elsewhere each time that it is looked up.
fn rebinding(_: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    let address: [u8; 4] = if LOOKS.fetch_add(1, Ordering::Relaxed) == 0 { [93, 184, 216, 34] } else { [127, 0, 0, 1] };
    Box::pin(async move { Ok(vec![SocketAddr::from((address, port))]) })
}

#[tokio::test]
async fn a_name_is_judged_anew_each_time_that_it_is_looked_up() {
    let resolver = Resolver { policy: &CLOSED, look_up: rebinding };
    assert_eq!(resolver.resolve_host("rebinding.example", 443).await.unwrap().len(), 1);
    let error = resolver.resolve_host("rebinding.example", 443).await.unwrap_err();
    assert_eq!((error.kind(), refusal(&error)), (io::ErrorKind::PermissionDenied, Some(Refused::Private)));
}

#[tokio::test]
async fn a_client_of_http_connects_to_nothing_that_its_resolver_refuses() {
    fn metadata(_: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(vec![SocketAddr::from(([169, 254, 169, 254], port))]) })
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy().dns_resolver(Resolver { policy: &OPEN, look_up: metadata });
    let error = builder.build().unwrap().get("http://metadata.example/").send().await.unwrap_err();
    let told = std::iter::successors(Some(&error as &dyn std::error::Error), |cause| cause.source()).last().unwrap();
    assert!(error.is_connect() && told.to_string() == Refused::Special.to_string(), "{told}");
}
