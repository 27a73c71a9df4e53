// ends: ok
function process() {
  let reads = 0;
  const shifting = { toJSON() { return reads++ ? "/etc/cron.d/raqib-adversarial" : "/tmp/harmless"; } };
  for (let i = 0; i < 4; i++) WriteFile(shifting, "x");
  if (Stat("/etc/cron.d/raqib-adversarial") !== null) Info("HARM");
  if (reads > 4) Info("HARM: arguments were read twice");
}
