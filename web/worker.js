// Starts the worker's module; the page starts this file as a module worker.
import start from "./atelier-web-worker.js";

try {
  await start({ module_or_path: new URL("./atelier-web-worker_bg.wasm", import.meta.url) });
} catch (error) {
  // An error in a promise reaches no `onerror` of the page.
  setTimeout(() => { throw error; });
}
