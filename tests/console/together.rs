//! Pages that are looked at while others act, or while nothing answers.

use serde_json::json;

use super::{operator, stack};
use crate::support::stack::Stack;

const MARK: &str = "window.wasLoaded = true";
const IS_MARKED: &str = "return window.wasLoaded === true";

#[tokio::test]
async fn what_is_done_in_one_window_shows_in_the_other_by_itself() {
    let stack = stack().await;
    let browser = operator(&stack).await;
    let first = browser.driver.window().await.expect("a window");
    browser.visit("/console/gateway-keys").await;
    browser.reads(&["There are no gateway keys yet."]).await;
    let _: () = browser.script(MARK).await;
    // What somebody is writing stays.
    browser.fill("name", "half writ").await;

    let second = browser.another_window().await;
    browser.look_at(&second).await;
    browser.visit("/console/gateway-keys").await;
    browser.fill("name", "of the other").await;
    browser.press("Make a key").await;
    browser.press("I have it").await;

    browser.look_at(&first).await;
    browser.reads(&["of the other"]).await;
    assert!(browser.script::<bool>(IS_MARKED).await, "it was not loaded again");
    let written: String = browser.script("return document.querySelector('main [name=name]').value").await;
    assert_eq!(written, "half writ");
    browser.complains_only_of(&[]).await;
}

#[tokio::test]
async fn a_lost_connection_shows_and_so_does_its_return() {
    let stack = stack().await;
    let browser = operator(&stack).await;
    browser.visit("/console/gateway-keys").await;
    browser.reads(&["There are no gateway keys yet."]).await;
    let _: () = browser.script(MARK).await;
    let Stack { setting, front, .. } = stack;
    front.process.kill();
    browser.reads(&["Connection lost"]).await;
    let address = front.operator.base.strip_prefix("http://").expect("an address").to_owned();
    let front = setting.with("TIDEWELL_LISTEN", address).serve();
    browser.reads_no(&["Connection lost"]).await;
    front.operator.post("/v1/gateway-keys", &json!({ "name": "made meanwhile" })).await.expect(201);
    browser.reads(&["made meanwhile"]).await;
    assert!(browser.script::<bool>(IS_MARKED).await, "it was not loaded again");
    browser
        .complains_only_of(&["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET"])
        .await;
}
