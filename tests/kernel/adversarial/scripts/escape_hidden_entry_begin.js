// ends: ok
function process() {
  const entry = globalThis[Object.getOwnPropertyNames(globalThis).find((name) => name.startsWith("__raqib"))];
  entry.begin("kind", "victim_recipe", "00000000-0000-7000-8000-000000000000", {});
  DataSet("stolen", "x");
  DataIncr("mine");
}
