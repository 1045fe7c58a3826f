//! Making a key, whose secret is shown this once.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use chrono::NaiveDate;
use maud::html;
use serde_json::{Map, Value, json};

use super::{HERE, Organization, api, find, indexes, keys::Key};
use crate::{
    console::{
        Console,
        api::Refusal,
        fields::Fields,
        forms::{self, Field},
        page::{Page, Section},
        parts,
        session::Session,
    },
    domain::key::Scope,
};

pub(super) async fn form(
    session: Session,
    State(console): State<Console>,
    Path(org): Path<String>,
) -> Result<Page, Refusal> {
    let organization = find(&console, &session, &org).await?;
    shown(&console, &session, &organization, None, &Fields::default()).await
}

async fn shown(
    console: &Console,
    session: &Session,
    organization: &Organization,
    refusal: Option<&Refusal>,
    sent: &Fields,
) -> Result<Page, Refusal> {
    let indexes = indexes(console, session, &organization.id).await?;
    let of_indexes = indexes.items.iter().map(|index| (index.slug.as_str(), index.slug.as_str()));
    let of: Vec<(&str, &str)> = [("", "all indexes")].into_iter().chain(of_indexes).collect();
    let kinds = [("search", "search"), ("connector", "connector")];
    let scopes = sent.all("scopes");
    let body = html! {
        (forms::refused(refusal, &["name", "kind", "index", "rateLimitPerMinute", "expiresAt"]))
        form method="post" action={ (organization.path()) "/keys/new" } {
            (Field::text("name", "Name").required().value(sent.text("name")).judged(refusal).hint("who uses it, and for what"))
            (Field::choice("kind", "Kind", &kinds).required().value(sent.text("kind")).judged(refusal).hint("what it begins with; search keys may be seen by anybody, connectors keep theirs"))
            fieldset {
                legend { "May" }
                p .hint { "With none checked, a search key may search and a connector's may write." }
                @for scope in Scope::ALL {
                    (forms::checkbox("scopes", scope.as_str(), &scope.as_str().replace('_', " "), scopes.contains(&scope.as_str())))
                }
            }
            (Field::choice("index", "Of", &of).value(sent.text("index")).judged(refusal))
            (Field::area("allowedOrigins", "Browsers may use it from", 3).value(sent.raw("allowedOrigins")).hint("an origin a line, such as https://shop.example; empty: from anywhere"))
            (Field::number("rateLimitPerMinute", "Requests in any 60 seconds").value(sent.text("rateLimitPerMinute")).judged(refusal).hint("6000 where left out"))
            (Field::date("expiresAt", "Last day").value(sent.text("expiresAt")).judged(refusal).hint("it ends with this day (UTC); empty: never"))
            button .primary type="submit" { "Make the key" }
        }
    };
    let page = Page::new(Section::Organizations, "New key", body).under("Organizations", HERE);
    Ok(page.under(&organization.slug, organization.path()).still())
}

pub(super) async fn create(
    session: Session,
    State(console): State<Console>,
    Path(org): Path<String>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let organization = find(&console, &session, &org).await?;
    let made = match body(&sent) {
        Ok(body) => console.api.post::<Key>(&session, &api(&organization.id, "/keys"), &body).await,
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok(key) => Ok(once(&organization, &key).into_response()),
        Err(refusal) => {
            let page = shown(&console, &session, &organization, Some(&refusal), &sent).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

/// The API's words for it; what is left out has the API's own defaults.
fn body(sent: &Fields) -> Result<Value, Refusal> {
    let origins: Vec<&str> = sent.raw("allowedOrigins").split_whitespace().collect();
    let expires_at = sent.given("expiresAt").map(end_of_day).transpose()?;
    let scopes = sent.all("scopes");
    let all = [
        ("name", json!(sent.text("name"))),
        ("kind", json!(sent.text("kind"))),
        ("scopes", if scopes.is_empty() { Value::Null } else { json!(scopes) }),
        ("index", sent.json_text("index")),
        ("allowedOrigins", json!(origins)),
        ("rateLimitPerMinute", json!(sent.number("rateLimitPerMinute")?)),
        ("expiresAt", json!(expires_at)),
    ];
    let given = all.into_iter().filter(|(_, value)| !value.is_null());
    Ok(Value::Object(given.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>()))
}

fn end_of_day(day: &str) -> Result<String, Refusal> {
    let day: NaiveDate = day.parse().map_err(|_| Refusal::of_field("expiresAt", "a day such as 2030-12-31"))?;
    Ok(format!("{day}T23:59:59Z"))
}

fn once(organization: &Organization, key: &Key) -> Page {
    let body = parts::new_key(&key.name, key.raw_key.as_deref().unwrap_or_default(), &organization.path());
    let page = Page::new(Section::Organizations, "A new key", body).under("Organizations", HERE);
    page.under(&organization.slug, organization.path()).still()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_form_leaves_open_is_left_to_the_api() {
        let sent =
            [("name", "a"), ("kind", "search"), ("index", ""), ("rateLimitPerMinute", ""), ("expiresAt", "2030-12-31")];
        let sent: Fields = sent.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let told = json!({ "name": "a", "kind": "search", "allowedOrigins": [], "expiresAt": "2030-12-31T23:59:59Z" });
        assert_eq!(body(&sent).expect("a body"), told);
    }
}
