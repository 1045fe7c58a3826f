//! Who is signed in: a cookie that says so, signed with a key made of the one that they signed in with. Nothing is stored, so every
//! front end knows it, and it ends when that key is changed.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::domain::{derived_key::derive, secret, sensitive::Sensitive};

const COOKIE: &str = "tidewell_console";
const USE: &str = "tidewell console sessions";
/// A working day, and some.
const LASTS: TimeDelta = TimeDelta::hours(12);
/// Characters of the name that somebody goes by.
pub(super) const NAME_CHARS: usize = 60;

/// What somebody who is signed in may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    Operator,
    /// Sees all, and changes nothing.
    Viewer,
}

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Session {
    pub(super) role: Role,
    /// As records of what they do call them, beside "operator".
    pub(super) name: Option<String>,
    expires_at: DateTime<Utc>,
    /// Of the request that is being answered: the records of what it does have it, as its log lines do.
    #[serde(skip)]
    pub(super) request_id: Option<HeaderValue>,
}

impl Session {
    pub(super) fn may_act(&self) -> bool {
        self.role == Role::Operator
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = axum::http::StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // The guard has put it there.
        parts.extensions.get().cloned().ok_or(axum::http::StatusCode::UNAUTHORIZED)
    }
}

/// The moment that sessions are judged by.
#[expect(
    clippy::disallowed_methods,
    reason = "a cookie's end is judged by the clock of the one who reads it; nothing durable rests on it"
)]
pub(super) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Knows the keys to sign in with, and its own cookies.
#[derive(Clone)]
pub(super) struct Sessions {
    keys: Vec<(Role, [u8; 32], Hmac<Sha256>)>,
}

impl Sessions {
    pub(super) fn new(operator_key: Option<&Sensitive>, viewer_key: Option<&Sensitive>) -> Self {
        let keys = [(Role::Operator, operator_key), (Role::Viewer, viewer_key)];
        let keys = keys.into_iter().filter_map(|(role, key)| Some((role, key?.expose())));
        let signed = |key| Hmac::new_from_slice(&derive(key, USE)).expect("HMAC takes a key of any length");
        Self { keys: keys.map(|(role, key)| (role, secret::hash(key), signed(key))).collect() }
    }

    /// Whether there is a key to sign in with.
    pub(super) fn are_possible(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The session of somebody with a key.
    pub(super) fn open(&self, key: &str, name: Option<String>, now: DateTime<Utc>) -> Option<Session> {
        let hash = secret::hash(key);
        let (role, ..) = self.keys.iter().find(|(_, known, _)| known.ct_eq(&hash).into())?;
        Some(Session { role: *role, name, expires_at: now + LASTS, request_id: None })
    }

    /// The header that keeps a session in a browser. `secure`: it is sent over TLS alone.
    pub(super) fn cookie(&self, session: &Session, secure: bool) -> Option<HeaderValue> {
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(session).ok()?);
        let (.., signer) = self.keys.iter().find(|(role, ..)| *role == session.role)?;
        let hmac = signer.clone().chain_update(&payload).finalize().into_bytes();
        let value = format!("{payload}.{}", URL_SAFE_NO_PAD.encode(hmac));
        set_cookie(COOKIE, &value, LASTS.num_seconds(), secure)
    }

    /// Who a request is from.
    pub(super) fn of(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Option<Session> {
        let (payload, hmac) = cookie(headers, COOKIE)?.split_once('.')?;
        let hmac = URL_SAFE_NO_PAD.decode(hmac).ok()?;
        let session: Session = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let (.., signer) = self.keys.iter().find(|(role, ..)| *role == session.role)?;
        signer.clone().chain_update(payload).verify_slice(&hmac).ok()?;
        (now < session.expires_at).then_some(session)
    }
}

/// Makes a browser forget who was signed in.
pub(super) fn forget() -> Option<HeaderValue> {
    set_cookie(COOKIE, "", 0, false)
}

/// A cookie that no script sees and no other site's form sends.
pub(super) fn set_cookie(name: &str, value: &str, max_age: i64, secure: bool) -> Option<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/console; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).ok()
}

/// The value of a cookie that was sent.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn sessions(operator: &str, viewer: &str) -> Sessions {
        Sessions::new(Some(&Sensitive::new(operator)), Some(&Sensitive::new(viewer)))
    }

    fn sent(sessions: &Sessions, session: &Session) -> HeaderMap {
        let cookie = sessions.cookie(session, false).expect("a cookie");
        let pair = cookie.to_str().expect("a text").split(';').next().expect("a pair").to_owned();
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&format!("a=b; {pair}")).expect("a header"))])
    }

    #[test]
    fn each_key_signs_in_to_its_role() {
        let known = sessions("operator", "viewer");
        for (key, role) in [("operator", Role::Operator), ("viewer", Role::Viewer)] {
            let session = known.open(key, Some("Ada".to_owned()), NOW).expect("a session");
            assert_eq!(session.role, role);
            assert_eq!(known.of(&sent(&known, &session), NOW), Some(session));
        }
        assert_eq!(known.open("stranger", None, NOW), None);
        assert_eq!(Sessions::new(None, None).open("", None, NOW), None);
    }

    #[test]
    fn a_session_ends_with_its_time_and_with_its_key() {
        let known = sessions("operator", "viewer");
        let session = known.open("operator", None, NOW).expect("a session");
        let cookie = sent(&known, &session);
        assert_eq!(known.of(&cookie, NOW + LASTS), None);
        assert_eq!(sessions("changed", "viewer").of(&cookie, NOW), None);
    }

    #[test]
    fn a_viewer_can_make_no_operator_of_themselves() {
        let known = sessions("operator", "viewer");
        let viewer = known.open("viewer", None, NOW).expect("a session");
        let cookie = sent(&known, &viewer).get(header::COOKIE).expect("a cookie").to_str().expect("a text").to_owned();
        let (payload, hmac) = cookie.rsplit_once('=').expect("a pair").1.split_once('.').expect("a signature");
        let said = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("a text");
        let forged = URL_SAFE_NO_PAD.encode(said.replace("viewer", "operator"));
        let header = HeaderValue::from_str(&format!("{COOKIE}={forged}.{hmac}")).expect("a header");
        assert_eq!(known.of(&HeaderMap::from_iter([(header::COOKIE, header)]), NOW), None);
    }
}
