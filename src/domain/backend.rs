//! Backends of table syncs: which addresses and keys of a Typesense are taken.

use std::net::IpAddr;

use reqwest::Url;

use crate::reach::Policy;

/// Nodes of one backend.
pub const MAX_NODES: usize = 20;
/// How long a call may take, in milliseconds, where nobody says.
pub const DEFAULT_TIMEOUT_MS: i32 = 10_000;
const TIMEOUT_MS: std::ops::RangeInclusive<i32> = 100..=600_000;
const MAX_URL: usize = 500;
const MAX_KEY: usize = 500;
/// The setting that allows plain http.
const ALLOW_HTTP: &str = "ATHENA_TYPESENSE_ALLOW_HTTP";

/// Where a Typesense may be spoken to by plain http.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    Everywhere,
    OnThisMachine,
    Nowhere,
}

impl PlainHttp {
    fn is_allowed(self, url: &Url) -> bool {
        match self {
            Self::Everywhere => true,
            Self::OnThisMachine => is_loopback(url),
            Self::Nowhere => false,
        }
    }
}

/// The address of a node as it is stored, such as `https://search.example.com:8108`; else what it must be. The message does not
/// repeat the address, which may hold a password.
pub fn node_url(text: &str, plain_http: PlainHttp) -> Result<String, String> {
    let like = "must be like https://search.example.com:8108";
    let malformed = || format!("{like}, of {MAX_URL} characters at most, none of them blank");
    if text.len() > MAX_URL || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(malformed());
    }
    let url = Url::parse(text).map_err(|error| format!("{like} ({error})"))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(like.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{like}: leave the user and password out, Typesense takes a key"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{like}: leave out what follows the host and port"));
    }
    if url.scheme() == "http" && !plain_http.is_allowed(&url) {
        let place = if plain_http == PlainHttp::OnThisMachine { ", or on this machine" } else { "" };
        return Err(format!("is http, and must be https{place}, or {ALLOW_HTTP} be true"));
    }
    let stored = url.origin().ascii_serialization();
    // A name of other letters than these is longer where it is written in them.
    if stored.len() > MAX_URL { Err(malformed()) } else { Ok(stored) }
}

/// Says what is wrong with the address of a service that speaks HTTP below some path, if anything, without repeating it.
pub fn service_url(text: &str, plain_http: PlainHttp) -> Result<(), String> {
    let like = "must be like https://api.example.com/v1";
    let url = Url::parse(text).map_err(|error| format!("{like} ({error})"))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(like.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{like}: leave out user, password and what follows the path"));
    }
    if !plain_http.is_allowed(&url) && url.scheme() == "http" {
        return Err(format!("is http, and must be https, or on this machine, or {ALLOW_HTTP} be true"));
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The addresses of all nodes as they are stored; else the position of one that can't be taken, and what it must be, or why it is not
/// connected to.
pub fn node_urls(texts: &[String], plain_http: PlainHttp, reach: &Policy) -> Result<Vec<String>, (usize, String)> {
    distinct(texts, |text| {
        let url = node_url(text, plain_http)?;
        let host = Url::parse(&url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        reach.judge_host(&host).map_err(|refused| format!("can't be taken: {refused}"))?;
        Ok(url)
    })
}

/// As [`node_urls`], of a text in which commas divide the addresses, and which is the settings': they may lead anywhere.
pub fn listed_nodes(text: &str, plain_http: PlainHttp) -> Result<Vec<String>, (usize, String)> {
    let texts: Vec<String> = text.split(',').map(|address| address.trim().to_owned()).collect();
    distinct(&texts, |text| node_url(text, plain_http))
}

fn distinct(texts: &[String], judged: impl Fn(&str) -> Result<String, String>) -> Result<Vec<String>, (usize, String)> {
    let mut urls = Vec::new();
    for (position, text) in texts.iter().enumerate() {
        let url = judged(text).map_err(|fault| (position, fault))?;
        if urls.contains(&url) {
            return Err((position, "is the address of another node, too".to_owned()));
        }
        urls.push(url);
    }
    match urls.len() {
        1..=MAX_NODES => Ok(urls),
        0 => Err((0, "must be there".to_owned())),
        _ => Err((MAX_NODES, format!("is one too many: {MAX_NODES} are taken"))),
    }
}

/// What is wrong with a key of Typesense's, if anything. The message does not repeat it.
pub fn key_fault(key: &str) -> Option<String> {
    let sendable = (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    (!sendable).then(|| format!("must be 1 to {MAX_KEY} characters of ASCII without blanks, as a header takes them"))
}

/// What is wrong with the time that a call may take, if anything.
pub fn timeout_fault(timeout_ms: i32) -> Option<String> {
    let rule = || format!("must be {} to {}", TIMEOUT_MS.start(), TIMEOUT_MS.end());
    (!TIMEOUT_MS.contains(&timeout_ms)).then(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_perhaps_a_port() {
        for (given, stored) in [
            ("https://search.example.com", "https://search.example.com"),
            ("HTTPS://Search.Example.com:443/", "https://search.example.com"),
            ("http://10.0.0.7:8108/", "http://10.0.0.7:8108"),
            ("https://[::1]:8108", "https://[::1]:8108"),
        ] {
            assert_eq!(node_url(given, PlainHttp::Everywhere).as_deref(), Ok(stored));
        }
        for bad in [
            "",
            "search.example.com",
            "//h",
            "ftp://h",
            "https://",
            "https://h/path",
            "https://h?x=1",
            "https://h#x",
            "https://user@h",
            "https://h:99999",
            "https://h ",
            "https://h\n",
            "file:///etc/passwd",
            "postgres://h/d",
            "https://user:hush@h",
            "https://:hush@h",
        ] {
            let fault = node_url(bad, PlainHttp::Everywhere).expect_err(bad);
            assert!(!fault.contains("hush"), "{fault}");
        }
        assert!(node_url(&format!("https://{}.com", "h".repeat(600)), PlainHttp::Everywhere).is_err());
    }

    #[test]
    fn plain_http_is_refused_where_it_is_not_allowed() {
        let loopback = ["http://127.0.0.1:8108", "http://localhost:8108", "http://[::1]:8108", "http://127.9.9.9"];
        for url in loopback {
            assert!(node_url(url, PlainHttp::OnThisMachine).is_ok(), "{url}");
            assert!(node_url(url, PlainHttp::Nowhere).unwrap_err().contains(ALLOW_HTTP), "{url}");
        }
        for url in ["http://10.0.0.7", "http://localhost.example.com", "http://127.0.0.1.example.com", "http://0.0.0.0"]
        {
            assert!(node_url(url, PlainHttp::OnThisMachine).unwrap_err().contains(ALLOW_HTTP), "{url}");
        }
    }

    #[test]
    fn a_service_may_have_a_path_but_no_password_and_no_plain_http_elsewhere() {
        for good in ["https://api.example.com/v1", "http://127.0.0.1:11434/v1", "http://localhost:8080"] {
            assert_eq!(service_url(good, PlainHttp::OnThisMachine), Ok(()), "{good}");
        }
        for bad in
            ["", "api.example.com", "ftp://h/v1", "https://u:hush@h/v1", "https://h/v1?key=hush", "http://10.0.0.1/v1"]
        {
            let fault = service_url(bad, PlainHttp::OnThisMachine).expect_err(bad);
            assert!(!fault.contains("hush"), "{fault}");
        }
        assert!(service_url("http://10.0.0.1/v1", PlainHttp::Everywhere).is_ok());
    }

    #[test]
    fn nodes_are_told_apart_and_bounded_in_number() {
        let nodes = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            node_urls(&texts, PlainHttp::Nowhere, &Policy::default()).map_err(|(position, _)| position)
        };
        assert_eq!(nodes(&["https://a", "https://b/"]), Ok(vec!["https://a".to_owned(), "https://b".to_owned()]));
        assert_eq!(nodes(&["https://a", "https://A:443/"]), Err(1));
        assert_eq!(nodes(&["https://a", "http://b"]), Err(1));
        assert_eq!(nodes(&["https://10.0.0.1", "https://169.254.169.254"]), Err(1));
        assert_eq!(nodes(&[]), Err(0));
        let many: Vec<String> = (0..=MAX_NODES).map(|n| format!("https://n{n}")).collect();
        let judged = node_urls(&many, PlainHttp::Nowhere, &Policy::default());
        assert_eq!(judged.map_err(|(position, _)| position), Err(MAX_NODES));
    }

    #[test]
    fn a_key_is_what_a_header_takes() {
        assert_eq!(key_fault("xyz+/=_-."), None);
        for bad in ["", "a b", "a\n", "ü", &"x".repeat(501)] {
            assert!(key_fault(bad).is_some(), "{bad:?}");
        }
    }
}
