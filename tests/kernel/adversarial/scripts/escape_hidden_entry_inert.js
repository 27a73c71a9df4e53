// ends: ok
const entry = globalThis[Object.getOwnPropertyNames(globalThis).find((name) => name.startsWith("__raqib"))];
entry.beginInert();
function process() { if (KillProcess(1) === 0) Info("HARM"); }
