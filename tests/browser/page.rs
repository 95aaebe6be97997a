//! The page as a visitor uses it.

use crate::{
    server::{Fault, Server},
    webdriver::{Browser, ConsoleEntry, WebGpu},
};
use atelier_web_messages::{Choice, Model, Recipe};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long anything may take that computes: the software adapter compiles shaders for a minute.
const PATIENCE: Duration = Duration::from_secs(240);

/// The page in a browser of its own, from a server of its own.
#[derive(Debug)]
pub struct Page {
    pub browser: Browser,
    pub server: Server,
    downloads: TempDir,
}

/// The built page.
fn dist() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist");
    assert!(folder.join("index.html").exists(), "there is no page in dist/: `cargo xtask site` builds it");
    folder
}

impl Page {
    /// Opens the page, and returns when it has a device.
    pub fn open(web_gpu: WebGpu) -> Self {
        Self::open_from(Server::start(&dist()), web_gpu)
    }

    /// As [`Self::open`], in a browser that does not know WebAssembly's relaxed vectors, as far as the workers can see.
    pub fn open_without_relaxed_vectors() -> Self {
        let server = Server::start(&dist());
        for name in ["worker.js", "service-worker.js"] {
            let script = fs::read_to_string(dist().join(name)).expect("a script of the page");
            let question = "WebAssembly.validate(";
            assert!(script.contains(question), "{name} asks another way: {script}");
            server.break_file(name, Fault::Replaced(script.replace(question, "!(").into_bytes()));
        }
        Self::open_from(server, WebGpu::None)
    }

    fn open_from(server: Server, web_gpu: WebGpu) -> Self {
        let browser = Browser::start(web_gpu);
        let downloads = tempfile::tempdir().expect("a folder");
        let folder = json!({ "behavior": "allow", "downloadPath": downloads.path() });
        browser.devtools("Browser.setDownloadBehavior", folder);
        let page = Self { browser, server, downloads };
        page.browser.open(&page.server.address());
        page.wait_for_device();
        page
    }

    /// Returns when the worker has opened a device.
    pub fn wait_for_device(&self) {
        let kind =
            self.wait("a device", "return document.querySelector('#device').dataset.kind !== 'opening'");
        assert_eq!(kind, true);
    }

    /// Goes to another part of the page, such as `#gallery`.
    pub fn go(&self, fragment: &str) {
        self.browser.run("location.hash = arguments[0]", json!([fragment]));
    }

    /// Loads the page again and returns when it has a device.
    pub fn reload(&self) {
        self.browser.reload();
        self.wait_for_device();
    }

    /// What `script` returns, as soon as that is neither false nor null.
    pub fn wait(&self, what: &str, script: &str) -> Value {
        self.wait_with(what, script, json!([]))
    }

    /// The same with arguments.
    pub fn wait_with(&self, what: &str, script: &str, values: Value) -> Value {
        let start = Instant::now();
        loop {
            let value = self.browser.run(script, values.clone());
            if !value.is_null() && value != false {
                return value;
            }
            assert!(start.elapsed() < PATIENCE, "{what} did not come; {}", self.state());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What somebody would look at who looks for a fault.
    fn state(&self) -> String {
        let seen = self.browser.run(
            "return ['#device', '#alert', '.progress', '#link-notice', '.stage', '#live']
                .map((selector) => `${selector}: ${document.querySelector(selector)?.textContent}`)",
            json!([]),
        );
        format!("the page shows {seen:#}, the console {:#?}", self.browser.take_console())
    }

    /// Clicks on the element of `selector` once it can be seen and is not disabled.
    pub fn click(&self, selector: &str) {
        self.wait_with(
            selector,
            "const element = document.querySelector(arguments[0]);
             if (!element?.checkVisibility() || element.disabled) return false;
             element.scrollIntoView({ block: 'center' });
             element.click();
             return true",
            json!([selector]),
        );
    }

    /// Gives the field of `selector` another value, as a visitor who types it.
    pub fn set(&self, selector: &str, value: &str) {
        self.browser.run(
            "const [selector, value] = arguments;
             const field = document.querySelector(selector);
             field.value = value;
             for (const name of ['input', 'change']) field.dispatchEvent(new Event(name, { bubbles: true }))",
            json!([selector, value]),
        );
    }

    /// The number of elements that match `selector`.
    pub fn count(&self, selector: &str) -> u64 {
        let count =
            self.browser.run("return document.querySelectorAll(arguments[0]).length", json!([selector]));
        count.as_u64().expect("a number")
    }

    /// The text of the element of `selector`.
    pub fn text(&self, selector: &str) -> String {
        let text =
            self.browser.run("return document.querySelector(arguments[0])?.textContent", json!([selector]));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Follows the link of a recipe, and starts to paint.
    pub fn start_painting(&self, recipe: &Recipe, choice: Choice) {
        let link = format!("#paint?{}", recipe.to_query(choice));
        // A link that stands in the address already would be no news.
        self.go("#gallery");
        self.go(&link);
        self.wait_with(
            "the link's prompt",
            "return document.querySelector('#prompt')?.value === arguments[0]
                && document.querySelector('#seed').value === arguments[1]",
            json!([recipe.prompt, recipe.seed.to_string()]),
        );
        self.click("#paint");
    }

    /// Paints `recipe`; gives the PNG file of each of its pictures.
    pub fn paint(&self, recipe: &Recipe, choice: Choice) -> Vec<Vec<u8>> {
        self.start_painting(recipe, choice);
        let of = |&model: &Model| self.download(model, recipe.seed);
        choice.models().iter().map(of).collect()
    }

    /// The PNG file of the newest picture by `model` from `seed`, as the link under it downloads it.
    pub fn download(&self, model: Model, seed: u64) -> Vec<u8> {
        let link = format!("figure.picture[data-model={}][data-seed='{seed}'] a.download", model.key());
        for old in fs::read_dir(self.downloads.path()).expect("a folder").flatten() {
            fs::remove_file(old.path()).expect("removed");
        }
        self.wait_with(
            "a picture",
            "return document.querySelector('.progress:not([hidden])') === null
            && document.querySelector(arguments[0]) !== null",
            json!([link]),
        );
        self.click(&link);
        let start = Instant::now();
        loop {
            let files = fs::read_dir(self.downloads.path()).expect("a folder").flatten();
            let file = files.map(|file| file.path()).find(|path| path.extension() == Some("png".as_ref()));
            // Chromium reserves the name before it writes; a whole PNG file ends with this chunk.
            let content = file.and_then(|file| fs::read(file).ok()).unwrap_or_default();
            if content.ends_with(b"IEND\xaeB`\x82") {
                return content;
            }
            assert!(start.elapsed() < PATIENCE, "nothing was downloaded; {}", self.state());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The message of the page, once there is one, which is then dismissed.
    pub fn take_alert(&self) -> String {
        let message = self.wait(
            "a message",
            "const alert = document.querySelector('#alert');
            return !alert.hidden && alert.checkVisibility() && alert.textContent",
        );
        self.click("#dismiss");
        self.wait("no message", "return document.querySelector('#alert').hidden");
        message.as_str().expect("text").to_owned()
    }

    /// Ends a test: nothing was wrong that nobody saw. `is_expected` says which errors of the console the test provoked.
    pub fn finish(self, is_expected: impl Fn(&ConsoleEntry) -> bool) {
        let errors: Vec<_> = self
            .browser
            .take_console()
            .into_iter()
            .filter(|entry| entry.is_error && !is_expected(entry))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let requested = self
            .browser
            .run("return performance.getEntriesByType('resource').map((entry) => entry.name)", json!([]));
        for address in requested.as_array().expect("a list") {
            let address = address.as_str().expect("text");
            let is_ours =
                ["blob:", "data:", &self.server.address()].iter().any(|start| address.starts_with(start));
            assert!(is_ours, "the page asked for {address}");
        }
    }
}

/// For tests that provoke no error.
pub fn none(_: &ConsoleEntry) -> bool {
    false
}
