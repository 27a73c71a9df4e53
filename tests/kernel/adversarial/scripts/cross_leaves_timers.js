// ends: ok
async function process() {
  const later = () => Promise.resolve().then(() => { globalThis.left = "HARM"; });
  for (let i = 0; i < 100; i++) later();
}
