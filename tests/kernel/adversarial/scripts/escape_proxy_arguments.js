// ends: ok
function process() {
  const asked = [];
  const proxy = new Proxy({}, {
    get(target, name) { asked.push(String(name)); return name === "toJSON" ? () => "/etc/cron.d/x" : undefined; },
    ownKeys() { return ["a"]; },
  });
  if (WriteFile(proxy, "x") !== -1) Info("HARM");
  if (AppendFile("/proc/sysrq-trigger", proxy) !== -1) Info("HARM");
}
