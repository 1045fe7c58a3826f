//! A browser: Debian's headless Chromium, driven through its own driver, with a profile that is gone with it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thirtyfour::{
    By, ChromiumLikeCapabilities, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver, WebElement, WindowHandle,
    extensions::query::{ElementPollerWithTimeout, ElementQueryable},
};

use super::{eventually, servers::Folder};

const NEEDS: &str =
    "the console's tests need Debian's Chromium and its driver: apt-get install chromium chromium-driver";
/// Far more than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

/// One browser of somebody who looks at the console of one front end.
pub struct Browser {
    pub driver: WebDriver,
    base: String,
    _chromedriver: Chromedriver,
    /// The browser is found by its profile in it, and killed however this process ends.
    _folder: Folder,
}

impl Browser {
    pub async fn open(base: &str) -> Self {
        let folder = Folder::make("browser");
        fs::create_dir_all(&folder.path).expect("a folder");
        let chromedriver = Chromedriver::start(&folder);
        let mut wanted = DesiredCapabilities::chrome();
        let profile = format!("--user-data-dir={}", folder.path.join("profile").display());
        let mut flags =
            vec!["--headless=new", "--window-size=1280,900", "--disable-dev-shm-usage", "--lang=en", &profile];
        if nix::unistd::geteuid().is_root() {
            flags.push("--no-sandbox");
        }
        for flag in flags {
            wanted.add_arg(flag).expect("a flag");
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::Severe).expect("a log");
        // As for all clients here, whichever is the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let driver = WebDriver::builder(format!("http://127.0.0.1:{}", chromedriver.port), wanted)
            .client(client)
            .poller(Arc::new(ElementPollerWithTimeout::new(PATIENCE, Duration::from_millis(50))))
            .await
            .unwrap_or_else(|error| panic!("no browser ({error}): {NEEDS}"));
        let browser = Self { driver, base: base.to_owned(), _chromedriver: chromedriver, _folder: folder };
        // What moves has no one colour to be judged by.
        browser.prefers("light").await;
        browser
    }

    /// Sees what the console shows to whoever prefers `light` or `dark`.
    pub async fn prefers(&self, scheme: &str) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.command("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// On a screen of this width, in pixels.
    pub async fn is_wide(&self, width: u32) {
        let screen = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// One of Chromium's own commands.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(name, parameters).await.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What a script gives.
    pub async fn script<T: DeserializeOwned>(&self, script: &str) -> T {
        self.driver.execute(script, vec![]).await.and_then(|given| given.convert()).expect("a script that runs")
    }

    pub async fn visit(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base)).await.expect("a page");
    }

    pub async fn sign_in(&self, key: &str) {
        self.visit("/console/sign-in").await;
        self.fill("key", key).await;
        self.press("Sign in").await;
        self.see("main[data-live]").await;
    }

    /// The address of the page, without the front end's.
    pub async fn path(&self) -> String {
        let url = self.driver.current_url().await.expect("an address");
        url.as_str().strip_prefix(&self.base).expect("a page of the front end").to_owned()
    }

    /// Waits until the page has this address.
    pub async fn comes_to(&self, path: &str) {
        eventually(PATIENCE, || async {
            let now = self.path().await;
            if now == path { Ok(()) } else { Err(now) }
        })
        .await;
    }

    /// Waits for an element that can be seen.
    pub async fn see(&self, css: &str) -> WebElement {
        let found = self.driver.query(By::Css(css)).and_displayed().first().await;
        match found {
            Ok(found) => found,
            Err(error) => panic!("{css} is not seen ({error}) on {}:\n{}", self.path().await, self.text().await),
        }
    }

    /// What stands on the page.
    pub async fn text(&self) -> String {
        self.script("return document.body?.innerText ?? ''").await
    }

    /// Waits until all of these stand on the page, without loading it again.
    pub async fn reads(&self, wanted: &[&str]) {
        self.text_is(|text| {
            wanted.iter().find(|&&wanted| !text.contains(wanted)).map(|missing| format!("no {missing:?}"))
        })
        .await;
    }

    /// Waits until none of these stands on the page, without loading it again.
    pub async fn reads_no(&self, unwanted: &[&str]) {
        self.text_is(|text| {
            unwanted.iter().find(|&&unwanted| text.contains(unwanted)).map(|found| format!("{found:?}"))
        })
        .await;
    }

    /// Waits until there is no fault in what stands on the page.
    async fn text_is(&self, fault: impl Fn(&str) -> Option<String>) {
        eventually(PATIENCE, || async {
            let text = self.text().await;
            match fault(&text) {
                None => Ok(()),
                Some(fault) => Err(format!("{fault} on {}:\n{text}", self.path().await)),
            }
        })
        .await;
    }

    /// Writes into a field.
    pub async fn fill(&self, name: &str, value: &str) {
        let field = self.see(&format!("main [name='{name}']:not([type=hidden])")).await;
        field.clear().await.expect("an empty field");
        field.send_keys(value).await.expect("a field that can be written into");
    }

    /// Chooses, by the choice's value.
    pub async fn choose(&self, name: &str, value: &str) {
        self.see(&format!("main select[name='{name}'] option[value='{value}']")).await.click().await.expect("a choice");
    }

    /// Checks the box of this value, or of any.
    pub async fn check(&self, name: &str, value: Option<&str>) {
        let value = value.map(|value| format!("[value='{value}']")).unwrap_or_default();
        let boxed = self.see(&format!("main input[name='{name}']{value}")).await;
        if !boxed.is_selected().await.expect("a box") {
            boxed.click().await.expect("a box that can be checked");
        }
    }

    /// Presses the button, or follows the link, that is called this.
    pub async fn press(&self, label: &str) {
        let named = format!("//*[(self::button or self::a or self::summary) and normalize-space()=\"{label}\"]");
        // A live page may have put another in its place between finding and pressing.
        for _ in 0..3 {
            let found = self.driver.query(By::XPath(named.clone())).and_displayed().first().await;
            let Ok(found) = found else {
                panic!("nothing is called {label:?} on {}:\n{}", self.path().await, self.text().await)
            };
            match found.click().await {
                Ok(()) => return,
                Err(error)
                    if matches!(error.as_inner(), thirtyfour::error::WebDriverErrorInner::StaleElementReference(_)) => {
                }
                Err(error) => panic!("{label:?} can't be pressed: {error}"),
            }
        }
        panic!("{label:?} does not stand still");
    }

    /// Another window beside this one, both in sight.
    pub async fn another_window(&self) -> WindowHandle {
        self.driver.new_window().await.expect("a window")
    }

    pub async fn look_at(&self, window: &WindowHandle) {
        self.driver.switch_to_window(window.clone()).await.expect("a window");
    }

    /// What the browser complained of since it was last asked, but for what contains one of these.
    pub async fn complaints(&self, expected: &[&str]) -> Vec<String> {
        let log = self.driver.browser_log().await.expect("a log");
        let severe = log.into_iter().filter(|entry| entry.level == "SEVERE").map(|entry| entry.message);
        severe.filter(|message| !expected.iter().any(|expected| message.contains(expected))).collect()
    }

    /// The browser has complained of nothing else.
    pub async fn complains_only_of(&self, expected: &[&str]) {
        let complaints = self.complaints(expected).await;
        assert!(complaints.is_empty(), "the browser complains on {}: {complaints:#?}", self.path().await);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own end waits for a client of this very thread's runtime, which stands still meanwhile.
        let _ = self.driver.clone().leak();
    }
}

/// What the browser is driven by, and ended with.
struct Chromedriver {
    child: Child,
    port: u16,
}

impl Chromedriver {
    /// Starts it, on a port of its choice.
    fn start(folder: &Folder) -> Self {
        let log = folder.path.join("chromedriver.log");
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").arg(format!("--log-path={}", log.display()));
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("chromedriver does not start ({error}): {NEEDS}"));
        let said = BufReader::new(child.stdout.as_mut().expect("piped")).lines().map_while(Result::ok);
        let port = { said }
            .find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())
            .unwrap_or_else(|| panic!("chromedriver does not start:\n{}", fs::read_to_string(log).unwrap_or_default()));
        Self { child, port }
    }

    /// Asks it to close the browser and to end, which leaves nothing in the folder for temporary files.
    fn ask_to_end(&self) -> std::io::Result<()> {
        let mut asked = TcpStream::connect(("127.0.0.1", self.port))?;
        asked.set_read_timeout(Some(Duration::from_secs(5)))?;
        asked.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        asked.read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        let _ = self.ask_to_end();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
