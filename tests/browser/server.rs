//! A server of static files that can be told to misbehave.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

/// Below which path the page lies: nothing in it may depend on that.
const FOLDER: &str = "/some/where/";

/// What is wrong with a file.
#[derive(Debug, Clone)]
pub enum Fault {
    /// There is none.
    Missing,
    /// One byte in its middle is another one.
    OneByte,
    /// The first half is taken for the whole.
    Half,
    /// The connection ends after the first half.
    BrokenOff,
    /// It is this one instead.
    Replaced(Vec<u8>),
}

/// A running server; it ends with the test.
#[derive(Debug)]
pub struct Server {
    state: Arc<Mutex<State>>,
    port: u16,
}

#[derive(Debug)]
struct State {
    root: PathBuf,
    is_on: bool,
    faults: BTreeMap<String, Fault>,
    requests: Vec<String>,
}

impl Server {
    /// Serves the folder `root`.
    pub fn start(root: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state =
            State { root: root.to_owned(), is_on: true, faults: BTreeMap::new(), requests: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A browser that hangs up early is none of the server's business.
                thread::spawn(move || answer(&stream, &state).ok());
            }
        });
        Self { state, port }
    }

    /// The address of the page.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}{FOLDER}", self.port)
    }

    /// Switches the network off or on again.
    pub fn set_network(&self, is_on: bool) {
        self.state().is_on = is_on;
    }

    /// From now on `file`, below the folder of the page, has `fault`.
    pub fn break_file(&self, file: &str, fault: Fault) {
        self.state().faults.insert(file.to_owned(), fault);
    }

    /// Takes every fault away.
    pub fn repair(&self) {
        self.state().faults.clear();
    }

    /// The files that were asked for since this was last called, answered or not.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with it")
    }
}

fn answer(mut stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let address = request.split(' ').nth(1).unwrap_or_default();
    let path = address.split('?').next().unwrap_or_default();
    // Outside of the folder there is nothing.
    let name = path.strip_prefix(FOLDER).unwrap_or("/");
    let name = if name.is_empty() { "index.html" } else { name };
    let (file, fault) = {
        let mut state = state.lock().expect("no thread panics with it");
        state.requests.push(name.to_owned());
        if !state.is_on {
            return Ok(());
        }
        (state.root.join(name), state.faults.get(name).cloned())
    };
    let is_below = !name.starts_with('/') && !name.split('/').any(|part| part == "..");
    let content = if is_below { fs::read(file).ok() } else { None };
    let content = match (content, &fault) {
        (None, _) | (_, Some(Fault::Missing)) => {
            return stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        (Some(_), Some(Fault::Replaced(content))) => content.clone(),
        (Some(content), _) => content,
    };
    let half = content.len() / 2;
    let (announced, mut sent) = match &fault {
        Some(Fault::Half) => (half, content[..half].to_vec()),
        Some(Fault::BrokenOff) => (content.len(), content[..half].to_vec()),
        _ => (content.len(), content),
    };
    if let Some(Fault::OneByte) = fault {
        sent[half] ^= 1;
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {announced}\r\nCache-Control: no-cache\r\nConnection: \
         close\r\n\r\n",
        media_type(name)
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&sent)
}

/// Browsers take modules and WebAssembly in no other.
fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("wasm") => "application/wasm",
        Some("json") => "application/json",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}
