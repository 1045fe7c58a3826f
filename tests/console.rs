//! The console, as those see it who work with it: in a browser, and by HTTP where somebody forges what a browser sends.

mod flow;
mod forms;
mod hostile;
mod keyboard;
mod pages;
mod scene;
mod sign_in;
mod together;
mod without_scripts;

use reqwest::{Method, RequestBuilder, redirect::Policy};

use crate::support::{
    browser::Browser,
    client::{Answer, Client},
    stack::{OPERATOR_KEY, Setting, Stack},
};

const VIEWER_KEY: &str = "the-viewer-key-of-the-tests";

/// A stack whose console can also be signed in to with the key of those who only look.
async fn stack() -> Stack {
    Stack::of(Setting::fresh().await.with("TIDEWELL_VIEWER_KEY", VIEWER_KEY)).await
}

/// A browser at a front end's console, signed in as the operator.
async fn operator(stack: &Stack) -> Browser {
    let browser = Browser::open(&stack.operator().base).await;
    browser.sign_in(OPERATOR_KEY).await;
    browser
}

/// Somebody who sends to the console whatever they like, and follows no redirect.
struct Visitor(Client);

impl Visitor {
    fn new(base: &str, cookie: &str) -> Self {
        let mut client = Client::new(base, "cookie", cookie);
        client.http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        Self(client)
    }

    async fn signed_in(base: &str, key: &str) -> Self {
        let answer = Self::new(base, "").post("/console/sign-in", &[("key", key)]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        Self::new(base, cookie(&answer))
    }

    async fn get(&self, path: &str) -> Answer {
        self.0.get(path).await
    }

    /// Sends a form as the console's own pages do.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.0.send(self.form(path, fields).header("origin", &self.0.base)).await
    }

    /// A form that is not sent yet, and says nothing of where it comes from.
    fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let encoded = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        let fields = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let form = self.0.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        form.body(fields.collect::<Vec<_>>().join("&"))
    }

    /// Every page that a link leads to, from the first on.
    async fn pages(&self) -> Vec<String> {
        let mut pages = vec!["/console".to_owned()];
        let mut next = 0;
        while let Some(page) = pages.get(next).cloned() {
            let answer = self.get(&page).await;
            assert_eq!(answer.status, 200, "a link leads to {page}");
            for link in links(answer.body.as_str().expect("a page")) {
                if !pages.contains(&link) {
                    pages.push(link);
                }
            }
            next += 1;
        }
        pages
    }
}

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(answer: &Answer) -> &str {
    answer.header("set-cookie").expect("a cookie").split(';').next().expect("its value")
}

/// The console's own pages that a page links to.
fn links(page: &str) -> Vec<String> {
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let ours = links.filter(|link| link.starts_with("/console") && !link.starts_with("/console/assets/"));
    ours.map(|link| link.replace("&amp;", "&")).collect()
}
