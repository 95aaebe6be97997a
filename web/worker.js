// Starts the worker's module; the page starts this file as a module worker.

// Whether the browser has the extension "relaxed SIMD", which can fuse products and sums; `service-worker.js` asks the same.
const relaxedSimd = WebAssembly.validate(new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
]));

async function load(folder) {
  const { default: start } = await import(`${folder}atelier-web-worker.js`);
  return () => start({ module_or_path: new URL(`${folder}atelier-web-worker_bg.wasm`, import.meta.url) });
}

try {
  // A browser that has learned the extension since its last visit has only the plain module when there is no network.
  const start = await (relaxedSimd ? load("./relaxed-simd/").catch(() => load("./")) : load("./"));
  await start();
} catch (error) {
  // An error in a promise reaches no `onerror` of the page.
  setTimeout(() => { throw error; });
}
