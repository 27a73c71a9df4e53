// ends: ok
function process() {
  if (typeof WebAssembly !== "undefined") Info("HARM");
}
