//! Every page, as it is in the middle of a working day.

use std::{env, fs, path::PathBuf};

use serde_json::json;

use super::{Visitor, operator, scene::Scene};
use crate::support::{browser::Browser, stack::OPERATOR_KEY};

#[tokio::test]
async fn every_page_is_sound() {
    let scene = Scene::open().await;
    let browser = operator(&scene.syncing.stack).await;
    for (_, path) in &scene.pages {
        browser.finds_sound(path).await;
    }
}

#[tokio::test]
async fn every_link_leads_somewhere() {
    let scene = Scene::open().await;
    let visitor = Visitor::signed_in(&scene.syncing.stack.operator().base, OPERATOR_KEY).await;
    let linked = visitor.pages().await;
    for (name, path) in &scene.pages {
        let base = path.split('?').next().expect("a path");
        assert!(linked.iter().any(|link| link.starts_with(base)), "no link leads to {name}: {linked:#?}");
    }
}

/// Not a test: `ops/screenshots` runs it.
#[tokio::test]
#[ignore = "writes pictures of all pages into the folder TIDEWELL_SCREENSHOTS"]
#[expect(clippy::disallowed_methods, reason = "how ops/screenshots says where to")]
async fn are_pictured() {
    let folder = PathBuf::from(env::var("TIDEWELL_SCREENSHOTS").expect("TIDEWELL_SCREENSHOTS, a folder"));
    fs::create_dir_all(&folder).expect("a folder");
    let scene = Scene::open().await;
    let browser = Browser::open(&scene.syncing.stack.operator().base).await;
    browser.visit("/console/sign-in").await;
    browser.is_pictured(&folder.join("sign-in")).await;
    browser.sign_in(OPERATOR_KEY).await;
    for (name, path) in &scene.pages {
        browser.visit(path).await;
        browser.is_pictured(&folder.join(name)).await;
    }
    println!("the pages of the console are in {}", folder.display());
}

impl Browser {
    /// Writes pictures of the page beside `path`: light and dark, wide and narrow.
    async fn is_pictured(&self, path: &std::path::Path) {
        for width in [1280, 380] {
            self.is_wide(width).await;
            for scheme in ["light", "dark"] {
                self.prefers(scheme).await;
                let height: u32 = self.script("return Math.ceil(document.documentElement.scrollHeight)").await;
                let clip = json!({ "x": 0, "y": 0, "width": width, "height": height.min(4000), "scale": 1 });
                let picture = json!({ "captureBeyondViewport": true, "clip": clip });
                let taken = self.command("Page.captureScreenshot", picture).await;
                let png = taken["data"].as_str().expect("a picture");
                let png = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, png).expect("base64");
                fs::write(format!("{}-{width}-{scheme}.png", path.display()), png).expect("a file");
            }
        }
    }
}
