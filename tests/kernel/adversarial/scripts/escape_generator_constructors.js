// ends: ok
function process() {
  const kinds = [function* () {}, async function () {}, async function* () {}];
  for (const one of kinds) {
    const made = one.constructor("return typeof require + typeof Deno + typeof WebAssembly");
    if (typeof made !== "function") Info("HARM");
  }
  if (kinds[0].constructor("return typeof require + typeof WebAssembly")().next().value !== "undefinedundefined")
    Info("HARM");
}
