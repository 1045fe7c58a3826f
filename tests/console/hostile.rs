//! Names that somebody chose to do harm.

use serde_json::json;

use super::{Visitor, operator, stack};
use crate::support::stack::OPERATOR_KEY;

const SCRIPT: &str = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"'>";
const RIGHT_TO_LEFT: &str = "\u{202e}evil שלום";

#[tokio::test]
async fn what_somebody_is_called_is_shown_and_does_nothing() {
    let stack = stack().await;
    let api = stack.operator();
    let long = "long ".repeat(2000);
    let names = [SCRIPT, RIGHT_TO_LEFT, &long[..200]];
    for (n, name) in names.iter().enumerate() {
        let organization = json!({ "slug": format!("hostile-{n}"), "name": name, "plan": "pro" });
        api.post("/v1/organizations", &organization).await.expect(201);
        let fields = json!([{ "name": "title", "type": "string" }, { "name": "n", "type": "int32" }]);
        let index = json!({ "slug": "things", "fields": fields });
        let path = format!("/v1/organizations/hostile-{n}");
        api.post(&format!("{path}/indexes"), &index).await.expect(201);
        let key = json!({ "name": name, "kind": "connector", "scopes": ["ingest"] });
        let key = api.post(&format!("{path}/keys"), &key).await.expect(201);
        api.post("/v1/gateway-keys", &json!({ "name": name })).await.expect(201);
        let tenant = api.bearer(key["rawKey"].as_str().expect("a key"));
        let documents = json!({ "documents": [
            { "id": name, "title": name, "n": long },
            { "id": "fine", "title": format!("{name} {long}"), "n": 1 },
        ] });
        let job = tenant.post("/v1/indexes/things/documents:batch", &documents).await.expect(202);
        crate::support::eventually(std::time::Duration::from_secs(30), || async {
            let job = api.get(&format!("/v1/jobs/{}", job["jobId"].as_str().expect("an id"))).await.expect(200);
            if job["finishedAt"].is_null() { Err(job) } else { Ok(()) }
        })
        .await;
    }
    let browser = operator(&stack).await;
    let pages = Visitor::signed_in(&api.base, OPERATOR_KEY).await.pages().await;
    assert!(pages.len() > 30, "{pages:#?}");
    for page in &pages {
        browser.visit(page).await;
        assert!(browser.script::<bool>("return window.hacked === undefined").await, "{page} runs what it shows");
        browser.is_wide(380).await;
        let wider: i64 =
            browser.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
        assert!(wider <= 0, "{page} is {wider} px wider than the screen");
    }
    browser.visit("/console/organizations").await;
    // Cut, and its beginning as it was written.
    browser.reads(&[&SCRIPT[..50], RIGHT_TO_LEFT]).await;
    browser.complains_only_of(&[]).await;
}
