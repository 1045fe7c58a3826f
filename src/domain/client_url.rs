//! URLs of source databases: which are taken.

use std::str::FromStr;

use reqwest::Url;
use sqlx::postgres::PgConnectOptions;

use crate::reach::Policy;

const MAX_URL: usize = 2000;

/// The parameters that mean something; any other would be logged with its value and ignored.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// What is wrong with the URL of a source database, if anything, or why it is not connected to. The message repeats nothing of it, for
/// it may hold a password.
pub fn fault(text: &str, reach: &Policy) -> Option<String> {
    let like = "must be like postgres://user:password@host:5432/database";
    let Ok(url) = Url::parse(text) else { return Some(like.to_owned()) };
    if text.len() > MAX_URL || text.contains(|c: char| c.is_control() || c.is_whitespace()) || text.contains("%00") {
        return Some(format!("{like}, of {MAX_URL} characters at most; write special characters as %20"));
    }
    if !["postgres", "postgresql"].contains(&url.scheme()) {
        return Some(like.to_owned());
    }
    let is_known = |name: &str| PARAMETERS.contains(&name) || name.starts_with("options[");
    if !url.query_pairs().all(|(name, _)| is_known(&name)) {
        return Some(format!("{like}; of parameters it may have {}", PARAMETERS.join(", ")));
    }
    let names_host = |name: &str| ["host", "hostaddr"].contains(&name);
    let has_host = url.host_str().is_some_and(|host| !host.is_empty())
        || url.query_pairs().any(|(name, value)| names_host(&name) && !value.is_empty());
    if !has_host {
        return Some(format!(
            "{like}: the host is missing (for a socket: postgres://user@/database?host=/run/postgresql)"
        ));
    }
    // The message of the parser may repeat a part.
    let Ok(options) = PgConnectOptions::from_str(text) else {
        return Some(format!("{like}: the port or a parameter after the ? has a value that it can't have"));
    };
    reach.judge_database(&options).err().map(|refused| format!("can't be taken: {refused}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_postgres_with_a_host_or_a_socket() {
        for good in [
            "postgres://reader:hush@db.example.com:5432/shop",
            "postgresql://reader@[::1]/shop?sslmode=require",
            "postgres:///shop?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/shop",
            "postgres://db/shop?options=-c%20statement_timeout%3D5s&options[search_path]=public",
        ] {
            assert_eq!(fault(good, &Policy::default()), None, "{good}");
        }
    }

    #[test]
    fn one_is_refused_that_leads_where_nobody_may_go() {
        for bad in ["postgres://a@169.254.169.254/d", "postgres://a@h/d?host=0xa9fea9fe", "postgres://[fe80::1]/d"] {
            assert!(
                fault(bad, &Policy::default()).is_some_and(|told| told.contains("TIDEWELL_ALLOWED_ADDRESSES")),
                "{bad}"
            );
        }
        let closed = Policy { private: false, ..Policy::default() };
        for private in ["postgres://a@10.0.0.1/d", "postgres:///d?host=/run/postgresql", "postgres://a@[::1]/d"] {
            assert!(
                fault(private, &closed).is_some_and(|told| told.contains("TIDEWELL_PRIVATE_ADDRESSES")),
                "{private}"
            );
        }
        assert_eq!(fault("postgres://a@db.example.com/d", &closed), None);
    }

    #[test]
    fn any_other_is_refused_and_nothing_of_it_repeated() {
        for bad in [
            "",
            "hush",
            "db.hush",
            "mysql://a:hush@h/d",
            "postgres:",
            "postgres:///d",
            "postgres://a:hush@/d",
            "postgres://a:hush@h:port/d",
            "postgres://a:hush@h/d?sslmode=hush",
            "postgres://a@h/d?pasword=hush",
            "postgres://a:hush@h/d?port=hush",
            "postgres://a:hush%00@h/d",
            "postgres://a:hush@h/d\n",
            "https://hush@h",
            "postgres://a:hush@h/d?channel_binding=require",
        ] {
            let told = fault(bad, &Policy::default()).unwrap_or_else(|| panic!("{bad}"));
            assert!(!told.contains("hush") && told.contains("postgres://user:password@host"), "{told}");
        }
        assert!(fault(&format!("postgres://h/{}", "d".repeat(2000)), &Policy::default()).is_some());
    }
}
