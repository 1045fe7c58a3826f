//! What a handler gives: the middle of a page, and how it is to be framed.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use super::{api::Refusal, parts};

/// The places that the menu leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Syncs,
    Search,
    DeadLetters,
    Jobs,
    Indexes,
    Organizations,
    Backends,
    Clients,
    GatewayKeys,
}

/// A page without its frame.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) section: Option<Section>,
    pub(super) title: String,
    /// What leads here: each with its address.
    pub(super) trail: Vec<(String, String)>,
    pub(super) body: Markup,
    /// Whether it is kept up while it is looked at. One that shows something once is not.
    pub(super) is_live: bool,
}

impl Page {
    pub(super) fn new(section: Section, title: impl Into<String>, body: Markup) -> Self {
        let (status, trail) = (StatusCode::OK, vec![]);
        Self { status, section: Some(section), title: title.into(), trail, body, is_live: true }
    }

    /// The page that this one belongs under.
    pub(super) fn under(mut self, title: impl Into<String>, path: impl Into<String>) -> Self {
        self.trail.push((title.into(), path.into()));
        self
    }

    /// A page that stays as it was sent: a form, or a secret that is shown once.
    pub(super) fn still(mut self) -> Self {
        self.is_live = false;
        self
    }

    /// A page that answers a form with what is wrong in it.
    pub(super) fn refused(mut self, status: StatusCode) -> Self {
        self.status = status;
        self.still()
    }

    /// A page that says why there is none.
    pub(super) fn fault(status: StatusCode, message: &str) -> Self {
        let title = match status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Not allowed",
            _ => "That did not work",
        };
        let body = html! { (parts::alert(message)) p { a href="/console" { "To the overview" } } };
        Self { status, section: None, title: title.to_owned(), trail: vec![], body, is_live: false }
    }
}

/// The frame is put on where the answer leaves the pages.
impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Page::fault(self.status, &self.in_a_sentence()).into_response()
    }
}

pub(super) async fn no_such_page() -> Page {
    Page::fault(StatusCode::NOT_FOUND, "There is no such page.")
}

/// Where a form is sent, somebody came by an address: after they had signed in again, or by loading an answer anew.
pub(super) async fn only_for_forms() -> Page {
    Page::fault(StatusCode::METHOD_NOT_ALLOWED, "This address takes what a form sends, and shows nothing by itself.")
}
