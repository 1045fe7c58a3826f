//! Secrets that callers hold: how they are made, shown once and stored.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// How the text of a gateway key begins.
pub const GATEWAY_PREFIX: &str = "ath_";

/// What kind of key a tenant holds; the kind is part of the secret's text, the scopes decide what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    Search,
    Connector,
}

impl KeyKind {
    /// As stored and as it stands in the secret.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Connector => "connector",
        }
    }
}

/// A freshly made secret. `raw` is shown to its owner once; only `hash` and `prefix` are kept.
pub struct NewSecret {
    pub raw: String,
    pub hash: [u8; 32],
    pub prefix: String,
}

/// Makes a tenant key: `ss_search_…` or `ss_connector_…` with 32 random bytes in base64url.
pub fn new_key(kind: KeyKind) -> NewSecret {
    let raw = format!("ss_{}_{}", kind.as_str(), random_token());
    NewSecret { hash: hash(&raw), prefix: prefix(&raw), raw }
}

/// A freshly made gateway key.
pub struct NewGatewaySecret {
    /// Stands before the dot, and tells the key to anybody.
    pub public_id: String,
    pub secret: NewSecret,
}

/// Makes a gateway key: `ath_<publicId>.` with 32 random bytes in base64url.
pub fn new_gateway_key() -> NewGatewaySecret {
    let public_id = new_short_id();
    let raw = format!("{GATEWAY_PREFIX}{public_id}.{}", random_token());
    NewGatewaySecret { public_id, secret: NewSecret { hash: hash(&raw), prefix: prefix(&raw), raw } }
}

/// 32 random bytes in base64url, 43 characters.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// The stored form of a secret. A plain SHA-256 is enough: the secret has 256 bits of entropy, so it can't be guessed.
pub fn hash(raw: &str) -> [u8; 32] {
    Sha256::digest(raw.as_bytes()).into()
}

/// The first 12 characters of the random part: enough for a person to tell keys apart.
fn prefix(raw: &str) -> String {
    raw[raw.len() - 43..][..12].to_owned()
}

/// The short name of an organization in its collections' names: 10 characters of `[a-z2-7]`.
pub fn new_short_id() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    rand::random::<[u8; 10]>().iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_kind_and_is_stored_as_a_hash_and_a_prefix() {
        let key = new_key(KeyKind::Connector);
        let random = key.raw.strip_prefix("ss_connector_").expect("kind in the text");
        assert_eq!(random.len(), 43);
        assert!(random.starts_with(&key.prefix) && key.prefix.len() == 12);
        assert_eq!(key.hash, hash(&key.raw));
        assert_ne!(key.raw, new_key(KeyKind::Connector).raw);
    }
    #[test]
    fn a_gateway_key_tells_its_public_id() {
        let key = new_gateway_key();
        let (public_id, random) = key.secret.raw.strip_prefix("ath_").expect("ath_").split_once('.').expect("a dot");
        assert_eq!((public_id, random.len()), (key.public_id.as_str(), 43));
        assert!(random.starts_with(&key.secret.prefix) && key.secret.prefix.len() == 12);
        assert_eq!(key.secret.hash, hash(&key.secret.raw));
    }
}
