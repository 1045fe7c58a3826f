//! Keys made of the master secret, one for each use: what is learnt of one says nothing of the others.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key for a use.
pub fn derive(master_secret: &str, purpose: &str) -> [u8; 32] {
    let master = Hmac::<Sha256>::new_from_slice(master_secret.as_bytes()).expect("HMAC takes a key of any length");
    master.chain_update(purpose).finalize().into_bytes().into()
}
