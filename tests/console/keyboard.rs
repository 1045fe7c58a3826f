//! By keyboard alone.

use thirtyfour::Key;

use super::{operator, stack};
use crate::support::{browser::Browser, stack::OPERATOR_KEY};

const FOCUSED: &str =
    "const at = document.activeElement; return at.getAttribute('aria-label') ?? (at.innerText || at.name || at.id);";

impl Browser {
    async fn types(&self, keys: impl AsRef<str>) {
        self.driver.action_chain().send_keys(keys.as_ref()).perform().await.expect("keys");
    }

    async fn hits(&self, key: Key) {
        self.driver.action_chain().send_keys(key).perform().await.expect("a key");
    }

    /// Goes on by Tab until what is called this has the focus, and shows it.
    async fn tabs_to(&self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..80 {
            self.hits(Key::Tab).await;
            let focused: String = self.script(FOCUSED).await;
            if focused.trim() == name {
                let is_seen = "const at = document.activeElement.getBoundingClientRect(); return at.width > 0 && at.right > 0 && at.bottom > 0";
                assert!(self.script::<bool>(is_seen).await, "{name} has the focus, and can't be seen");
                let outline = "return getComputedStyle(document.activeElement).outlineStyle";
                assert_ne!(self.script::<String>(outline).await, "none", "{name} does not show its focus");
                return;
            }
            passed.push(focused);
        }
        panic!("no way to {name:?}: {passed:?}");
    }
}

#[tokio::test]
async fn everything_is_reached_by_keyboard_alone() {
    let stack = stack().await;
    let browser = Browser::open(&stack.operator().base).await;
    browser.visit("/console").await;
    browser.tabs_to("key").await;
    browser.types(OPERATOR_KEY).await;
    browser.hits(Key::Enter).await;
    browser.comes_to("/console").await;

    browser.tabs_to("Skip to the content").await;
    browser.hits(Key::Enter).await;
    assert_eq!(browser.script::<String>("return document.activeElement.id").await, "main");

    browser.visit("/console").await;
    browser.tabs_to("Gateway keys").await;
    browser.hits(Key::Enter).await;
    browser.comes_to("/console/gateway-keys").await;
    browser.tabs_to("name").await;
    browser.types("typed").await;
    browser.hits(Key::Enter).await;
    browser.reads(&["A new gateway key", "ath_"]).await;
    browser.tabs_to("I have it").await;
    browser.hits(Key::Enter).await;
    browser.tabs_to("Revoke").await;
    browser.hits(Key::Enter).await;
    browser.reads(&["It stops working everywhere"]).await;
    browser.hits(Key::Escape).await;
    browser.reads_no(&["It stops working everywhere"]).await;
    browser.hits(Key::Enter).await;
    browser.tabs_to("Revoke").await;
    browser.hits(Key::Enter).await;
    browser.reads(&["The key is revoked."]).await;
    browser.complains_only_of(&[]).await;
}

#[tokio::test]
async fn on_a_narrow_screen_the_menu_opens_by_keyboard() {
    let stack = stack().await;
    let browser = operator(&stack).await;
    browser.is_wide(380).await;
    browser.visit("/console").await;
    browser.tabs_to("Menu").await;
    browser.hits(Key::Enter).await;
    browser.tabs_to("Backends").await;
    browser.hits(Key::Escape).await;
    browser.reads_no(&["Backends"]).await;
    browser.hits(Key::Enter).await;
    browser.tabs_to("Gateway keys").await;
    browser.hits(Key::Enter).await;
    browser.comes_to("/console/gateway-keys").await;
    browser.complains_only_of(&[]).await;
}
