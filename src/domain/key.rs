//! Keys: what they may do, and which can be made.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::secret::KeyKind;

/// Requests a minute where a key's maker does not say.
pub const DEFAULT_RATE: i32 = 6000;
const MAX_RATE: i32 = 1_000_000;
const MAX_ORIGINS: usize = 100;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Search,
    /// Write documents.
    Ingest,
    /// See usage, and see and act on dead letters.
    Admin,
    /// Write documents, as a connector.
    ConnectorWrite,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Search, Self::Ingest, Self::Admin, Self::ConnectorWrite];

    /// As stored and as callers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Ingest => "ingest",
            Self::Admin => "admin",
            Self::ConnectorWrite => "connector_write",
        }
    }

    /// What a key of that kind is for, where its maker does not say.
    pub fn usual(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Search => Self::Search,
            KeyKind::Connector => Self::ConnectorWrite,
        }
    }
}

/// What a gateway key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub enum Right {
    /// Call Athena's routes, `/typesense/*`.
    #[serde(rename = "gateway.typesense_proxy")]
    TypesenseProxy,
}

impl Right {
    pub const ALL: [Self; 1] = [Self::TypesenseProxy];

    /// As stored and as callers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TypesenseProxy => "gateway.typesense_proxy",
        }
    }

    /// What is wrong with a wish for these rights.
    pub fn fault(rights: &[Self]) -> Option<&'static str> {
        let stands_twice = |(n, right)| rights[..n].contains(right);
        let faulty = rights.is_empty() || rights.iter().enumerate().any(stands_twice);
        faulty.then_some("must be at least one right, each of them once")
    }
}

/// Everything wrong with a wish for a key: fields as the API calls them, each with what it must be.
pub fn faults(scopes: &[Scope], allowed_origins: &[String], rate_limit_per_minute: i32) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let stands_twice = |(n, scope)| scopes[..n].contains(scope);
    if scopes.is_empty() || scopes.iter().enumerate().any(stands_twice) {
        found.push(("scopes".to_owned(), "must be at least one scope, each of them once".to_owned()));
    }
    if allowed_origins.len() > MAX_ORIGINS {
        found.push(("allowedOrigins".to_owned(), format!("must be {MAX_ORIGINS} at most")));
    }
    for (position, _) in allowed_origins.iter().enumerate().filter(|(_, origin)| !is_origin(origin)) {
        let message = "must be a scheme, a host and perhaps a port, such as https://shop.example".to_owned();
        found.push((format!("allowedOrigins[{position}]"), message));
    }
    if !(1..=MAX_RATE).contains(&rate_limit_per_minute) {
        found.push(("rateLimitPerMinute".to_owned(), format!("must be 1 to {MAX_RATE}")));
    }
    found
}

/// As a browser writes its `Origin` header.
fn is_origin(text: &str) -> bool {
    text.len() <= 300
        && text.split_once("://").is_some_and(|(scheme, host)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                && !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for good in ["https://shop.example", "http://localhost:3000", "http://[::1]:8080", "capacitor://localhost"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in
            ["", "*", "shop.example", "https://", "https://a/", "https://a/b", "https://a b", "://a", "https://ä"]
        {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn each_fault_of_a_key_is_told_with_its_field() {
        let fields = |scopes: &[Scope], origins: &[&str], rate| {
            let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
            faults(scopes, &origins, rate).into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        };
        assert_eq!(fields(&Scope::ALL, &["https://a"], DEFAULT_RATE), [""; 0]);
        assert_eq!(fields(&[], &["https://a", "b"], 0), ["scopes", "allowedOrigins[1]", "rateLimitPerMinute"]);
        assert_eq!(fields(&[Scope::Search, Scope::Search], &["https://a"; 101], 1), ["scopes", "allowedOrigins"]);
    }
}
