//! Where a browser runs no scripts, everything is there but what comes by itself.

use serde_json::json;

use super::stack;
use crate::support::{browser::Browser, stack::OPERATOR_KEY};

#[tokio::test]
async fn without_scripts_one_signs_in_and_forms_work() {
    let stack = stack().await;
    let browser = Browser::open(&stack.operator().base).await;
    browser.command("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    browser.sign_in(OPERATOR_KEY).await;
    browser.press("Gateway keys").await;
    browser.fill("name", "plain").await;
    browser.press("Make a key").await;
    browser.reads(&["shown this once", "ath_"]).await;
    browser.press("I have it").await;
    browser.reads(&["plain", " UTC"]).await;
    browser.press("Revoke").await;
    browser.see("button.danger").await.click().await.expect("a button");
    browser.reads(&["The key is revoked.", "revoked"]).await;
    browser.complains_only_of(&[]).await;
}
