//! Chromium behind its driver: the part of the WebDriver protocol (W3C) that the tests need, and two of chromedriver's own
//! commands.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command, Stdio},
};
use tempfile::TempDir;

/// Whether the browser has WebGPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebGpu {
    /// On the software adapter that comes with Chromium.
    Software,
    /// None: without these flags Chromium offers no adapter where there is no GPU.
    None,
}

/// A browser with one empty window and nothing from earlier visits; it closes with the test.
#[derive(Debug)]
pub struct Browser {
    agent: ureq::Agent,
    driver: Child,
    session: String,
    profile: TempDir,
    /// A driver whose output nobody takes ends.
    _output: BufReader<ChildStdout>,
}

/// The key of an element's reference, from the standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Browser {
    /// Starts chromedriver, and Chromium through it.
    pub fn start(web_gpu: WebGpu) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts: `cargo xtask setup --only chromium` installs it");
        let mut output = BufReader::new(driver.stdout.take().expect("it is piped"));
        let port: u16 = output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())
            .expect("chromedriver names its port");
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
        let profile = tempfile::tempdir().expect("a folder");
        let session = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { agent, driver, session, profile, _output: output };
        let created = browser.post("", &capabilities(browser.profile.path(), web_gpu));
        let id = created["sessionId"].as_str().expect("a session");
        browser.session = format!("{}/{id}", browser.session);
        browser.post("/timeouts", &json!({ "script": 60_000, "pageLoad": 120_000 }));
        browser
    }

    /// Opens `address`, and returns when the document is loaded.
    pub fn open(&self, address: &str) {
        self.post("/url", &json!({ "url": address }));
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// What the function body `script` returns in the page, where `arguments` has `values`.
    pub fn run(&self, script: &str, values: Value) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": values }))
    }

    /// What the asynchronous function body `script` returns in the page.
    pub fn run_async(&self, script: &str, values: Value) -> Value {
        // The standard hands a callback over as the last argument.
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
             (async (...values) => {{ {script} }})(...arguments).then(done, (error) => done(`error: ${{error}}`));"
        );
        let result = self.post("/execute/async", &json!({ "script": script, "args": values }));
        let problem = result.as_str().filter(|text| text.starts_with("error: "));
        assert_eq!(problem, None, "{script}");
        result
    }

    /// Types `keys` into the element of `selector`; for file inputs, the path of a file.
    pub fn type_into(&self, selector: &str, keys: &str) {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let element = found[ELEMENT].as_str().expect("an element");
        self.post(&format!("/element/{element}/value"), &json!({ "text": keys }));
    }

    /// A command of the Chrome DevTools Protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What the console has received since this was last called.
    pub fn take_console(&self) -> Vec<ConsoleEntry> {
        let entries = self.post("/se/log", &json!({ "type": "browser" }));
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let entries = entries.as_array().expect("a list").iter();
        entries
            .map(|entry| ConsoleEntry {
                is_error: entry["level"] == "SEVERE",
                is_network: entry["source"] == "network",
                message: text(entry, "message"),
            })
            .collect()
    }

    /// A PNG file of what the window shows.
    pub fn screenshot(&self) -> Vec<u8> {
        let encoded = self.request("/screenshot", None);
        STANDARD.decode(encoded.as_str().expect("text")).expect("base64")
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.request(path, Some(body))
    }

    fn request(&self, path: &str, body: Option<&Value>) -> Value {
        let address = format!("{}{path}", self.session);
        let answer = match body {
            Some(body) => self.agent.post(&address).send_json(body),
            None => self.agent.get(&address).call(),
        };
        let mut answer = answer.expect("chromedriver answers");
        let is_success = answer.status().is_success();
        // Screenshots are larger than the limit of the client.
        let value: Value = answer.body_mut().with_config().limit(100_000_000).read_json().expect("JSON");
        let value = value["value"].clone();
        assert!(is_success, "{path} {}: {}", body.cloned().unwrap_or_default(), value["message"]);
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It closes the browser; a test that failed may have lost its driver.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A line of the browser's console.
#[derive(Debug)]
pub struct ConsoleEntry {
    /// Whether it is an error, and not only a remark.
    pub is_error: bool,
    /// Whether it is about a request that failed.
    pub is_network: bool,
    /// What it says.
    pub message: String,
}

fn capabilities(profile: &std::path::Path, web_gpu: WebGpu) -> Value {
    let mut arguments = vec![
        "--headless=new".to_owned(),
        // The sandbox wants rights that containers lack.
        "--no-sandbox".to_owned(),
        "--window-size=1280,1000".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-quic".to_owned(),
        "--no-proxy-server".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        // Nobody is reached but the test's own server.
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1".to_owned(),
        format!("--user-data-dir={}", profile.display()),
    ];
    if web_gpu == WebGpu::Software {
        arguments.push("--enable-unsafe-webgpu".to_owned());
        arguments.push("--use-webgpu-adapter=swiftshader".to_owned());
    }
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "browser": "ALL" },
    }}})
}
