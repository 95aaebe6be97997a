// Starts the module. A file of its own, because the page's policy allows no inline script; the names of the module,
// which change with its content, come from the script element that the build writes.
const { module, binary } = document.querySelector("script[data-binary]").dataset;
try {
  const { default: start } = await import(new URL(module, document.baseURI));
  await start({ module_or_path: new URL(binary, document.baseURI) });
} catch (error) {
  console.error(error);
  const alert = document.getElementById("alert");
  alert.textContent = `The page could not start: ${error.message ?? error}. Reload it, or try a browser of this year.`;
  alert.hidden = false;
}
