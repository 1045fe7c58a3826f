//! Plans: what organizations may use and hold, and what more costs.

use axum::{
    extract::State,
    http::Method,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::{HERE as ORGANIZATIONS, Plan};
use crate::console::{
    Console,
    api::{List, Refusal, segment, with_query},
    fields::Fields,
    forms::{self, Field},
    notice,
    page::{Page, Section},
    parts,
    session::Session,
};

pub(super) const HERE: &str = "/console/plans";

/// What a plan consists of, beside its name: as the API calls it, as it is called here, and a hint.
const PARTS: [(&str, &str, &str); 5] = [
    ("monthlyUnits", "Units a month", "empty: no cap"),
    ("overageMinorPerThousand", "Price of a thousand more", "in minor units of the wallet's currency"),
    ("maxDocuments", "Documents", "empty: no cap"),
    ("maxIndexes", "Indexes", "empty: no cap"),
    ("maxKeys", "Keys", "empty: no cap"),
];

pub(super) async fn show(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    let plans: List<Plan> = console.api.get(&session, "/v1/plans").await?;
    let chosen = plans.items.iter().find(|plan| plan.name == asked.text("plan"));
    let filled = chosen.map(Plan::as_fields).unwrap_or_default();
    Ok(shown(&session, &plans, None, &filled))
}

fn shown(session: &Session, plans: &List<Plan>, refusal: Option<&Refusal>, filled: &Fields) -> Page {
    let known: Vec<&str> = PARTS.iter().map(|(name, ..)| *name).chain(["name"]).collect();
    let body = html! {
        div .scroll tabindex="0" role="region" aria-label="Plans" {
            table {
                thead {
                    tr { th { "Plan" } @for (_, label, _) in PARTS { th .number { (label) } } }
                }
                tbody { @for plan in &plans.items { (row(session, plan)) } }
            }
        }
        @if session.may_act() {
            h2 { "Make a plan, or change one" }
            p .soft { "A plan that is there already is replaced for every organization that is on it, from the next request on." }
            (forms::refused(refusal, &known))
            form #plan method="post" action=(HERE) {
                (Field::text("name", "Name").required().value(filled.text("name")).judged(refusal).hint("lower-case letters, digits, hyphens and underscores"))
                @for (name, label, hint) in PARTS { (Field::number(name, label).value(filled.text(name)).hint(hint).judged(refusal)) }
                button .primary type="submit" { "Save the plan" }
            }
        }
    };
    Page::new(Section::Organizations, "Plans", body).under("Organizations", ORGANIZATIONS).still()
}

fn row(session: &Session, plan: &Plan) -> Markup {
    let cap =
        |cap: Option<i64>| html! { @match cap { Some(cap) => (parts::count(cap)), None => span .soft { "no cap" } } };
    html! {
        tr data-key=(plan.name) {
            th scope="row" {
                @if session.may_act() { a href={ (with_query(HERE, &[("plan", Some(&plan.name))])) "#plan" } { (plan.name) } } @else { (plan.name) }
            }
            td .number { (cap(plan.monthly_units)) }
            td .number { (parts::count(plan.overage_minor_per_thousand)) }
            td .number { (cap(plan.max_documents)) }
            td .number { (cap(plan.max_indexes)) }
            td .number { (cap(plan.max_keys)) }
        }
    }
}

impl Plan {
    /// As the form has it.
    fn as_fields(&self) -> Fields {
        let cap = |cap: Option<i64>| cap.map(|cap| cap.to_string()).unwrap_or_default();
        let fields = [
            ("name", self.name.clone()),
            ("monthlyUnits", cap(self.monthly_units)),
            ("overageMinorPerThousand", self.overage_minor_per_thousand.to_string()),
            ("maxDocuments", cap(self.max_documents)),
            ("maxIndexes", cap(self.max_indexes)),
            ("maxKeys", cap(self.max_keys)),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

pub(super) async fn put(session: Session, State(console): State<Console>, sent: Fields) -> Result<Response, Refusal> {
    let name = sent.text("name");
    let saved = match body(&sent) {
        // Without a name there is no such route.
        _ if name.is_empty() => Err(Refusal::of_field("name", "a plan needs a name")),
        Ok(body) => {
            let path = format!("/v1/plans/{}", segment(name));
            console.api.send::<Value>(&session, Method::PUT, &path, &body).await
        }
        Err(refusal) => Err(refusal),
    };
    match saved {
        Ok(_) => Ok(notice::see(HERE, &format!("The plan {name} is saved."))),
        Err(refusal) => {
            let plans = console.api.get(&session, "/v1/plans").await?;
            Ok(shown(&session, &plans, Some(&refusal), &sent).refused(refusal.status).into_response())
        }
    }
}

fn body(sent: &Fields) -> Result<Value, Refusal> {
    let mut body = Map::new();
    for (name, ..) in PARTS {
        if let Some(number) = sent.number(name)? {
            body.insert(name.to_owned(), json!(number));
        }
    }
    Ok(Value::Object(body))
}
