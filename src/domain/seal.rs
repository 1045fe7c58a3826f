//! What must be stored and used again, and read by nobody else: the keys of backends and the URLs of source databases.
//!
//! A sealed value is a version, a random nonce, and the text under XChaCha20-Poly1305 with a key that the master secret has for this
//! alone. Which column and row it belongs to is authenticated with it, so that one can't be put in another's place.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use uuid::Uuid;

use super::{derived_key::derive, sensitive::Sensitive};

const USE: &str = "tidewell sealed values";
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// The column that a sealed value stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    ClientUrl,
    BackendKey,
    BackendSearchKey,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::ClientUrl => "clients.url",
            Self::BackendKey => "typesense_profiles.api_key",
            Self::BackendSearchKey => "typesense_profiles.search_api_key",
        }
    }

    /// What is authenticated with a value: the row's id has a length of its own, so no two places are written alike.
    fn place(self, row: Uuid) -> Vec<u8> {
        [self.name().as_bytes(), row.as_bytes()].concat()
    }
}

/// Why a sealed value can't be read; the message says which setting to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "a stored key or URL can't be decrypted: TIDEWELL_SECRET must be the secret that it was stored with, or \
         TIDEWELL_PREVIOUS_SECRET must be that until `tidewell migrate` has run"
    )]
    OtherSecret,
    #[error("a stored key or URL is of a newer release of Tidewell: upgrade this one")]
    Unknown,
}

/// Seals and opens.
#[derive(Clone)]
pub struct Sealer {
    current: XChaCha20Poly1305,
    previous: Option<XChaCha20Poly1305>,
}

impl Sealer {
    /// `previous` is the master secret before this one: what was sealed with it can be opened, too.
    pub fn new(master_secret: &str, previous: Option<&str>) -> Self {
        let cipher = |secret: &str| XChaCha20Poly1305::new(&derive(secret, USE).into());
        Self { current: cipher(master_secret), previous: previous.map(cipher) }
    }

    /// The text as it may be stored in this place.
    pub fn seal(&self, column: Column, row: Uuid, plain: &str) -> Vec<u8> {
        let nonce = rand::random::<[u8; NONCE_BYTES]>();
        let payload = Payload { msg: plain.as_bytes(), aad: &column.place(row) };
        let text = self.current.encrypt(&XNonce::from(nonce), payload).expect("a text is not as long as 256 GB");
        [&[VERSION][..], &nonce, &text].concat()
    }

    /// The text that was sealed for this place, with this secret or the one before.
    pub fn open(&self, column: Column, row: Uuid, sealed: &[u8]) -> Result<Sensitive, Error> {
        let decrypt = |cipher| decrypt(cipher, column, row, sealed);
        match (decrypt(&self.current), &self.previous) {
            (Err(Error::OtherSecret), Some(previous)) => decrypt(previous),
            (opened, _) => opened,
        }
    }

    /// The value sealed anew, where the secret before this one has sealed it; `None` where this one has.
    pub fn reseal(&self, column: Column, row: Uuid, sealed: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if decrypt(&self.current, column, row, sealed).is_ok() {
            return Ok(None);
        }
        self.open(column, row, sealed).map(|plain| Some(self.seal(column, row, plain.expose())))
    }
}

fn decrypt(cipher: &XChaCha20Poly1305, column: Column, row: Uuid, sealed: &[u8]) -> Result<Sensitive, Error> {
    let (version, rest) = sealed.split_first().ok_or(Error::Unknown)?;
    if *version != VERSION {
        return Err(Error::Unknown);
    }
    let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Error::OtherSecret)?;
    let payload = Payload { msg: text, aad: &column.place(row) };
    let plain = cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Error::OtherSecret)?;
    String::from_utf8(plain).map(Sensitive::new).map_err(|_| Error::OtherSecret)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Uuid = Uuid::from_u128(7);
    const KEY: Column = Column::BackendKey;

    fn opened(sealer: &Sealer, sealed: &[u8]) -> Result<String, Error> {
        sealer.open(KEY, ROW, sealed).map(|plain| plain.expose().to_owned())
    }

    #[test]
    fn what_is_sealed_is_not_seen_and_opens_again() {
        let sealer = Sealer::new("a secret", None);
        for text in ["", "xyz", "postgres://ü:p@h/d"] {
            let sealed = sealer.seal(KEY, ROW, text);
            assert_eq!(opened(&sealer, &sealed).as_deref(), Ok(text));
            assert!(text.is_empty() || !sealed.windows(text.len()).any(|part| part == text.as_bytes()));
            assert_ne!(sealed, sealer.seal(KEY, ROW, text), "a nonce of its own");
        }
    }

    #[test]
    fn a_value_in_another_place_or_with_any_bit_flipped_or_cut_is_refused() {
        let sealer = Sealer::new("a secret", None);
        let sealed = sealer.seal(KEY, ROW, "xyz");
        assert!(sealer.open(KEY, Uuid::from_u128(8), &sealed).is_err());
        assert!(sealer.open(Column::BackendSearchKey, ROW, &sealed).is_err());
        for position in 0..sealed.len() {
            assert!(opened(&sealer, &sealed[..position]).is_err());
            for bit in 0..8 {
                let mut flipped = sealed.clone();
                flipped[position] ^= 1 << bit;
                assert!(opened(&sealer, &flipped).is_err(), "byte {position}, bit {bit}");
            }
        }
    }

    #[test]
    fn the_secret_before_opens_too_and_is_replaced() {
        let (before, after) = (Sealer::new("old", None), Sealer::new("new", Some("old")));
        let sealed = before.seal(KEY, ROW, "xyz");
        assert_eq!(opened(&after, &sealed).as_deref(), Ok("xyz"));
        let anew = after.reseal(KEY, ROW, &sealed).unwrap().expect("sealed anew");
        assert_eq!(opened(&Sealer::new("new", None), &anew).as_deref(), Ok("xyz"));
        assert_eq!(after.reseal(KEY, ROW, &anew), Ok(None));
        assert_eq!(opened(&before, &anew), Err(Error::OtherSecret));
        assert_eq!(Sealer::new("new", None).reseal(KEY, ROW, &sealed), Err(Error::OtherSecret));
    }
}
