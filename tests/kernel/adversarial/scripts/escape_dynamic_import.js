// ends: ok
async function process() {
  for (const name of ["fs", "node:fs", "file:///etc/passwd", "data:text/javascript,export default 1", "ext:core/ops"])
    try {
      await import(name);
      Info("HARM", name);
    } catch {}
}
