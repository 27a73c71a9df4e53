// ends: ok,timeout
function process() {
  const value = "v".repeat(256 * 1024);
  let refused = 0;
  for (let i = 0; i < 100; i++) if (DataSet("bulk" + i, value) !== 0) refused++;
  DataSet("huge", "v".repeat(300 * 1024)) === -1 || Info("HARM");
}
