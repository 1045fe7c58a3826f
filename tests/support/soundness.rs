//! What must hold of every page of the console: nobody is kept out of it, it fits the screen, and the browser has nothing to complain of.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{browser::Browser, clients::axe};

const WIDE: u32 = 1280;
const NARROW: u32 = 380;

static AXE: LazyLock<String> = LazyLock::new(axe);

/// What axe finds, each with where and why.
const JUDGE: &str = r#"
const [rules, done] = arguments;
const options = { resultTypes: ["violations"], ...(rules && { runOnly: { type: "rule", values: rules } }) };
const told = ({ target, failureSummary }) => `  ${target}: ${failureSummary}`;
axe.run(document, options).then(
  ({ violations }) => done(violations.map(({ id, help, nodes }) => [`${id}: ${help}`, ...nodes.map(told)].join("\n"))),
  (error) => done([String(error)]),
);
"#;

/// How far the page is wider than the screen, and what is.
const OVERFLOW: &str = r#"
const { scrollWidth, clientWidth } = document.documentElement;
if (scrollWidth <= clientWidth) return [];
const scrolls = (element) => element.closest(".scroll, pre, textarea") !== null;
const wide = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > clientWidth + 1);
return [`${scrollWidth - clientWidth} px`, ...wide.filter((element) => !scrolls(element)).map((element) => element.outerHTML.slice(0, 120))];
"#;

impl Browser {
    /// Goes to a page and finds nothing wrong with it.
    pub async fn finds_sound(&self, path: &str) {
        self.visit(path).await;
        self.is_sound().await;
    }

    /// Nothing is wrong with the page that is shown: in light and dark, wide and narrow.
    pub async fn is_sound(&self) {
        let mut faults = Vec::new();
        let mut find =
            |what: &str, found: Vec<String>| faults.extend(found.into_iter().map(|fault| format!("{what}: {fault}")));
        self.driver.execute(AXE.as_str(), vec![]).await.expect("axe");
        for width in [NARROW, WIDE] {
            self.is_wide(width).await;
            find(&format!("overflows at {width} px"), self.script(OVERFLOW).await);
            find(&format!("axe at {width} px"), self.axe(&Value::Null).await);
            // Only colours differ.
            self.prefers("dark").await;
            find(
                &format!("axe in the dark at {width} px"),
                self.axe(&json!(["color-contrast", "link-in-text-block"])).await,
            );
            self.prefers("light").await;
        }
        find("the browser", self.complaints(&[]).await);
        assert!(faults.is_empty(), "{}:\n{}", self.path().await, faults.join("\n"));
    }

    async fn axe(&self, rules: &Value) -> Vec<String> {
        let judged = self.driver.execute_async(JUDGE, vec![rules.clone()]).await;
        judged.and_then(|judged| judged.convert()).expect("a judgement")
    }
}
