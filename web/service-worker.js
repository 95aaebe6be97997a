// Opens the page without a network. The models are not its business: the worker keeps those itself.
//
// A version is stored whole, every file checked against its digest, and answers until all windows with the page are closed;
// then the next version takes over. It never takes over from under a window (`skipWaiting`, `clients.claim`), so that no
// page consists of files of two versions.

// `cargo xtask site` puts the version and the digests of the files here. In development there is none, and nothing is stored.
const version = "";
const files = {};

const scope = self.registration.scope;
// Other folders of the same server may have an Atelier of their own.
const prefix = `atelier-page ${scope} `;
const name = prefix + version;

// Servers may redirect from `index.html` to the folder, and browsers refuse a stored redirection.
const address = (file) => new URL(file === "index.html" ? "./" : file, scope).href;
const addresses = new Map(Object.keys(files).map((file) => [address(file), file]));

// Of the worker's two modules, the one that `worker.js` starts in this browser is stored.
const relaxedSimd = WebAssembly.validate(new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
]));
const isLoaded = (file) => !file.startsWith(relaxedSimd ? "atelier-web-worker" : "relaxed-simd/");

async function store() {
  const cache = await caches.open(name);
  const request = ([file, integrity]) => new Request(address(file), { cache: "no-cache", integrity });
  await cache.addAll(Object.entries(files).filter(([file]) => isLoaded(file)).map(request));
}

async function deleteOthers() {
  const others = (await caches.keys()).filter((other) => other.startsWith(prefix) && other !== name);
  await Promise.all(others.map((other) => caches.delete(other)));
}

// The address under which the answer to `request` is stored, if any.
function stored({ method, mode, url }) {
  const requested = new URL(url);
  requested.hash = "";
  if (mode === "navigate") {
    requested.search = "";
    if (requested.href === `${scope}index.html`) return method === "GET" ? scope : undefined;
  }
  return method === "GET" && addresses.has(requested.href) ? requested.href : undefined;
}

async function answer(address, request) {
  const cache = await caches.open(name);
  return (await cache.match(address)) ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(store()));
self.addEventListener("activate", (event) => event.waitUntil(deleteOthers()));
self.addEventListener("fetch", (event) => {
  const address = stored(event.request);
  if (address !== undefined) event.respondWith(answer(address, event.request));
});
