//! Who is let in, as whom, and what nobody can forge.

use serde_json::json;

use super::{VIEWER_KEY, Visitor, cookie, operator, stack};
use crate::support::{browser::Browser, stack::OPERATOR_KEY};

const KEYS: &str = "/console/gateway-keys";

#[tokio::test]
async fn a_right_key_leads_back_to_where_one_wanted_to_go_and_signing_out_ends_it() {
    let stack = stack().await;
    let browser = Browser::open(&stack.operator().base).await;
    browser.visit(&format!("{KEYS}?cursor=")).await;
    browser.comes_to("/console/sign-in?back=%2Fconsole%2Fgateway-keys%3Fcursor%3D").await;
    browser.is_sound().await;

    browser.fill("key", "a wrong one").await;
    browser.fill("name", "Ada").await;
    browser.press("Sign in").await;
    browser.reads(&["That key is not right."]).await;
    browser.complains_only_of(&["status of 401"]).await;
    browser.is_sound().await;
    browser.fill("key", OPERATOR_KEY).await;
    browser.press("Sign in").await;
    browser.comes_to(&format!("{KEYS}?cursor=")).await;
    browser.reads(&["Ada", "There are no gateway keys yet."]).await;

    browser.press("Sign out").await;
    browser.comes_to("/console/sign-in").await;
    browser.driver.back().await.expect("the page before");
    browser.comes_to("/console/sign-in?back=%2Fconsole%2Fgateway-keys%3Fcursor%3D").await;
    browser.complains_only_of(&[]).await;
}

#[tokio::test]
async fn a_viewer_sees_every_page_and_changes_nothing() {
    let stack = stack().await;
    let operator = stack.operator();
    let key = operator.post("/v1/gateway-keys", &json!({ "name": "kept" })).await.expect(201);
    stack.tenant("kept").await;
    let base = &operator.base;
    let viewer = Visitor::signed_in(base, VIEWER_KEY).await;
    for page in viewer.pages().await {
        let shown = viewer.get(&page).await.expect(200);
        let acts = shown.as_str().expect("a page").matches("method=\"post\"").count();
        assert_eq!(acts, 1, "{page}: there is nothing to do but to sign out");
    }
    let id = key["id"].as_str().expect("an id");
    for (path, fields) in [
        (KEYS.to_owned(), &[("name", "forged")][..]),
        (format!("{KEYS}/{id}/revoke"), &[]),
        ("/console/whatever/there/is".to_owned(), &[]),
    ] {
        let refused = viewer.post(&path, fields).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.body.as_str().expect("a page").contains("You are signed in to look"), "{path}");
    }
    let keys = operator.get("/v1/gateway-keys").await.expect(200);
    assert_eq!((keys["items"].as_array().map(Vec::len), &keys["items"][0]["revokedAt"]), (Some(1), &json!(null)));
}

#[tokio::test]
async fn nothing_is_shown_to_whom_is_not_signed_in() {
    let stack = stack().await;
    stack.tenant("hidden").await;
    let base = &stack.operator().base;
    let mut pages = Visitor::signed_in(base, OPERATOR_KEY).await.pages().await;
    pages.extend(["/console/", "/console/nowhere"].map(str::to_owned));
    let nobody = Visitor::new(base, "");
    for page in pages {
        let answer = nobody.get(&page).await;
        assert_eq!(answer.status, 303, "{page}");
        let location = answer.header("location").expect("where to");
        assert!(location.starts_with("/console/sign-in?back="), "{page}: {location}");
        assert!(!answer.body.to_string().contains("hidden"), "{page}");
    }
    let stream = nobody.get("/console/live?at=/console").await.body.to_string();
    assert!(stream.contains("event: gone") && !stream.contains("hidden"), "{stream}");
    let answer = nobody.post(KEYS, &[("name", "forged")]).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
}

#[tokio::test]
async fn a_cookie_is_for_the_console_alone_and_no_other_than_it_was_given() {
    let stack = stack().await;
    let base = &stack.operator().base;
    let answer = Visitor::new(base, "").post("/console/sign-in", &[("key", VIEWER_KEY), ("name", "Bo")]).await;
    let given = answer.header("set-cookie").expect("a cookie");
    for property in ["HttpOnly", "SameSite=Lax", "Path=/console"] {
        assert!(given.split("; ").any(|part| part == property), "{property}: {given}");
    }
    let (name, value) = cookie(&answer).split_once('=').expect("a name");
    assert_eq!(Visitor::new(base, &format!("{name}={value}")).get("/console").await.status, 200);
    let (payload, hmac) = value.split_once('.').expect("a signature");
    let other = Visitor::signed_in(base, OPERATOR_KEY).await;
    let another = other.get("/console").await;
    assert_eq!(another.status, 200);
    let shorter = &payload[..payload.len() - 1];
    for forged in [
        String::new(),
        payload.to_owned(),
        format!("{payload}."),
        format!("{shorter}.{hmac}"),
        format!("{payload}.{payload}"),
    ] {
        let answer = Visitor::new(base, &format!("{name}={forged}")).get("/console").await;
        assert_eq!(answer.status, 303, "{forged}");
    }
}

#[tokio::test]
async fn a_form_that_another_site_sends_is_refused() {
    let stack = stack().await;
    let base = &stack.operator().base;
    let operator = Visitor::signed_in(base, OPERATOR_KEY).await;
    for path in [KEYS, "/console/sign-in", "/console/sign-out"] {
        let form = || operator.form(path, &[("name", "forged"), ("key", OPERATOR_KEY)]);
        for request in [
            form(),
            form().header("origin", "https://evil.example"),
            form().header("origin", "null"),
            form().header("origin", base).header("sec-fetch-site", "cross-site"),
            form().header("origin", base).header("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(operator.0.send(request).await.status, 403, "{path}");
        }
    }
    assert_eq!(stack.operator().get("/v1/gateway-keys").await.expect(200)["items"], json!([]));
    operator.post(KEYS, &[("name", "wanted")]).await.expect(200);
}

#[tokio::test]
async fn every_answer_tells_the_browser_what_it_may_do_with_it() {
    let stack = stack().await;
    let operator = Visitor::signed_in(&stack.operator().base, OPERATOR_KEY).await;
    let nobody = Visitor::new(&stack.operator().base, "");
    for answer in
        [operator.get("/console").await, operator.get("/console/nowhere").await, nobody.get("/console/sign-in").await]
    {
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn without_an_operators_key_it_says_what_to_set() {
    let setting = crate::support::stack::Setting::fresh().await.with("ATHENA_KEY_12", "");
    let stack = crate::support::stack::Stack::without_worker(setting).await;
    let nobody = Visitor::new(&stack.operator().base, "");
    let page = nobody.get("/console/sign-in").await.expect(200);
    assert!(page.as_str().expect("a page").contains("ATHENA_KEY_12 is not set"));
    assert_eq!(nobody.post("/console/sign-in", &[("key", "")]).await.status, 401);
}

#[tokio::test]
async fn the_pages_of_one_who_acts_are_sound() {
    let stack = stack().await;
    let browser = operator(&stack).await;
    browser.finds_sound("/console").await;
    browser.finds_sound(KEYS).await;
}
