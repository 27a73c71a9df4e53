// ends: error
function process() {
  const error = new TypeError("x");
  Object.defineProperty(error, "stack", { get() { for (const call of [Stat, DataGet]) call("/"); return "HARM?"; } });
  Object.defineProperty(error, "message", { get() { throw error; } });
  throw error;
}
