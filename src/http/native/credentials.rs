//! A tenant key where Typesense's clients put it.

use axum::{
    extract::Request,
    http::{HeaderValue, Uri, header},
    middleware::Next,
    response::Response,
};

/// The header, and the parameter of the query string.
const NAME: &str = "x-typesense-api-key";

/// Takes the key out of its header or out of the query string, and puts it where the gateway looks for one; so nothing behind
/// this sees it among the parameters.
pub(super) async fn take(mut request: Request, next: Next) -> Response {
    let (uri, in_query) = without_key(request.uri());
    let key = request.headers_mut().remove(NAME).or(in_query);
    if let Some(uri) = uri {
        *request.uri_mut() = uri;
    }
    if let Some(bearer) = key.as_ref().and_then(bearer) {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    next.run(request).await
}

fn bearer(key: &HeaderValue) -> Option<HeaderValue> {
    let mut bearer = HeaderValue::from_bytes(&[b"Bearer ", key.as_bytes()].concat()).ok()?;
    bearer.set_sensitive(true);
    Some(bearer)
}

/// The address without the key, where the query string holds one, and the key.
fn without_key(uri: &Uri) -> (Option<Uri>, Option<HeaderValue>) {
    let query = uri.query().unwrap_or_default();
    let is_key = |pair: &&str| pair.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    let Some(key) = query.split('&').find(is_key) else { return (None, None) };
    // A key holds nothing that would need an escape.
    let value = key.split_once('=').and_then(|(_, value)| HeaderValue::from_str(value).ok());
    let rest: Vec<&str> = query.split('&').filter(|pair| !is_key(pair)).collect();
    (format!("{}?{}", uri.path(), rest.join("&")).parse().ok(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_leaves_the_query_string() {
        let uri = Uri::from_static("/collections/a/documents/search?q=x&x-typesense-api-key=ss_1&page=2");
        let (rest, key) = without_key(&uri);
        assert_eq!(rest.unwrap(), "/collections/a/documents/search?q=x&page=2");
        assert_eq!(key.unwrap(), "ss_1");
        assert_eq!(without_key(&Uri::from_static("/a?q=x-typesense-api-key")), (None, None));
    }
}
