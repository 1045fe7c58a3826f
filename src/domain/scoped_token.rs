//! Scoped tokens: a search key narrowed by a filter, signed so that nobody has to store it.
//!
//! The text is `ss_scoped_<payload>.<hmac>`: what the token says as JSON, and HMAC-SHA256 over its text, both in base64url.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use super::{derived_key::derive, filter};

/// How the text of a scoped token begins.
pub const PREFIX: &str = "ss_scoped_";
/// Characters of a token: it must fit into a header, and into an address.
pub const MAX_CHARS: usize = 4096;
const USE: &str = "tidewell scoped tokens";
const VERSION: u8 = 1;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    pub organization_id: Uuid,
    pub index_id: Uuid,
    /// The key that it narrows: a token lives no longer than that.
    pub key_id: Uuid,
    pub filter_by: String,
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize, Serialize)]
struct Payload<C> {
    v: u8,
    #[serde(flatten)]
    claims: C,
}

/// Signs tokens, and knows its own.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// With the key that the master secret has for this.
    pub fn new(master_secret: &str) -> Self {
        Self(keyed(&derive(master_secret, USE)))
    }

    /// The token's text; `None` where it would be too long.
    pub fn sign(&self, claims: &Claims) -> Option<String> {
        let payload = serde_json::to_vec(&Payload { v: VERSION, claims }).ok()?;
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let hmac = self.0.clone().chain_update(&payload).finalize().into_bytes();
        let token = format!("{PREFIX}{payload}.{}", URL_SAFE_NO_PAD.encode(hmac));
        (token.len() <= MAX_CHARS).then_some(token)
    }

    /// What a token says that was signed with the same secret, and nothing of it changed.
    pub fn verify(&self, token: &str) -> Option<Claims> {
        if token.len() > MAX_CHARS {
            return None;
        }
        let (payload, hmac) = token.strip_prefix(PREFIX)?.split_once('.')?;
        self.0.clone().chain_update(payload).verify_slice(&URL_SAFE_NO_PAD.decode(hmac).ok()?).ok()?;
        let payload: Payload<Claims> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        // By today's rules, which may be stricter than those that it was signed under.
        (payload.v == VERSION && filter::check(&payload.claims.filter_by).is_ok()).then_some(payload.claims)
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(filter_by: &str) -> Claims {
        Claims {
            organization_id: Uuid::from_u128(1),
            index_id: Uuid::from_u128(2),
            key_id: Uuid::from_u128(3),
            filter_by: filter_by.to_owned(),
            expires_at: Some(DateTime::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let signer = Signer::new("a secret");
        for said in [claims("owner:=`é`"), Claims { expires_at: None, ..claims("a:1 || b:2") }] {
            let token = signer.sign(&said).expect("a token");
            assert!(token.starts_with("ss_scoped_"), "{token}");
            assert_eq!(signer.verify(&token), Some(said));
        }
    }

    #[test]
    fn a_token_with_any_bit_flipped_or_cut_or_added_to_is_refused() {
        let signer = Signer::new("a secret");
        let token = signer.sign(&claims("owner:=me")).expect("a token");
        for position in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[position] ^= 1 << bit;
                let flipped = String::from_utf8(bytes).expect("ASCII");
                assert_eq!(signer.verify(&flipped), None, "{flipped}");
            }
            assert_eq!(signer.verify(&token[..position]), None);
        }
        for more in ["A", "=", ".", " ", "\0"] {
            assert_eq!(signer.verify(&format!("{token}{more}")), None);
        }
    }

    #[test]
    fn a_token_of_another_secret_or_of_another_use_of_it_is_refused() {
        let signer = Signer::new("a secret");
        let foreign = Signer::new("another secret").sign(&claims("a:1")).expect("a token");
        assert_eq!(signer.verify(&foreign), None);
        let unlabelled = Signer(keyed(b"a secret")).sign(&claims("a:1")).expect("a token");
        assert_eq!(signer.verify(&unlabelled), None);
    }

    #[test]
    fn what_no_caller_may_filter_by_is_refused_though_it_is_signed() {
        let signer = Signer::new("a secret");
        for filter in ["tenantId:!=x", "", "a:1) || (b:2"] {
            let token = signer.sign(&claims(filter)).expect("a token");
            assert_eq!(signer.verify(&token), None, "{filter}");
        }
    }

    #[test]
    fn a_token_is_no_longer_than_a_header_takes() {
        let signer = Signer::new("a secret");
        assert!(signer.sign(&claims(&format!("a:{}", "x".repeat(2600)))).is_some());
        assert_eq!(signer.sign(&claims(&format!("a:{}", "x".repeat(3900)))), None);
    }
}
