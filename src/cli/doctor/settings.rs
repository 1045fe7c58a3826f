//! The settings, as far as they are valid and still not as they should be.

use tidewell::config::Config;

use super::finding::Finding;
use crate::cli::Session;

/// An operator key of fewer characters may be guessed.
const KEY_CHARS: usize = 24;

pub(super) fn check(session: &Session) -> Vec<Finding> {
    let config = &session.config;
    vec![secret(session), previous_secret(config), operator_key(config), plain_http(config), doubt(config)]
}

fn secret(session: &Session) -> Finding {
    match session.sealer() {
        Ok(_) => Finding::ok("secret", "it is set"),
        Err(_) => Finding::warning(
            "secret",
            "TIDEWELL_SECRET is not set: there are no scoped tokens and no table syncs",
            "set it to what `openssl rand -hex 32` prints, the same for every `serve` and `work`, and keep a copy with the backups",
        ),
    }
}

fn previous_secret(config: &Config) -> Finding {
    match config.previous_secret {
        None => Finding::ok("previous_secret", "none is left over"),
        Some(_) => Finding::warning(
            "previous_secret",
            "TIDEWELL_PREVIOUS_SECRET is still set: what the former secret has sealed can still be read",
            "run `tidewell migrate`, which encrypts anew what is stored, then unset it everywhere",
        ),
    }
}

fn operator_key(config: &Config) -> Finding {
    const CHECK: &str = "operator_key";
    let generate = "set ATHENA_KEY_12 to what `openssl rand -hex 32` prints";
    match config.athena_key_12.as_ref().map(|key| key.chars().count()) {
        None => Finding::warning(CHECK, "ATHENA_KEY_12 is not set: nobody can call as the operator", generate),
        Some(chars) if chars < KEY_CHARS => {
            Finding::warning(CHECK, format!("ATHENA_KEY_12 has {chars} characters, and may be guessed"), generate)
        }
        Some(_) => Finding::ok(CHECK, "it is set"),
    }
}

fn plain_http(config: &Config) -> Finding {
    match config.athena_typesense_allow_http {
        false => Finding::ok("plain_http", "backends are called by https, or on this machine"),
        true => Finding::warning(
            "plain_http",
            "ATHENA_TYPESENSE_ALLOW_HTTP is true: keys and documents may cross the network in the clear",
            "give the backends https addresses and unset it, unless a private network lies between",
        ),
    }
}

/// Beyond what `Config` refuses: a lost request may outlive its sender's patience.
fn doubt(config: &Config) -> Finding {
    let (doubt, timeout) = (config.doubt_seconds, config.import_timeout_seconds);
    match doubt >= timeout {
        true => Finding::ok("doubt", format!("lost requests are looked after for {doubt} s")),
        false => Finding::warning(
            "doubt",
            format!("TIDEWELL_DOUBT_SECONDS is {doubt}, less than TIDEWELL_IMPORT_TIMEOUT_SECONDS, which is {timeout}"),
            "let it be several times as long: a lost request may wait in Typesense for longer than its sender did",
        ),
    }
}
