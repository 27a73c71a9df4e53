// ends: crashed
function process() {
  const entry = Object.getOwnPropertyNames(globalThis).find((name) => name.startsWith("__raqib"));
  globalThis[entry].wait();
  Info("HARM: asked for what is no helper");
}
