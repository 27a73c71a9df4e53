// ends: ok
function process() {
  const paths = [
    "/etc/cron.d/raqib-adversarial", "/tmp/../etc/cron.d/raqib-adversarial", "/tmp/./x", "//etc/cron.d/raqib-adversarial",
    "/proc/sysrq-trigger", "/proc/self/root/etc/cron.d/raqib-adversarial", "/tmp\0/x", "/tmp/a\0b", "/var/lib/raqib/store.db",
    "/dev/sda", "/sys/power/state", "tmp/x", "", "/", "/tmp", "/tmp/", "/tmp/" + "x".repeat(300), "/tmp/" + "y/".repeat(2000),
  ];
  for (const path of paths) {
    if (WriteFile(path, "x") !== -1) Info("HARM", path);
    if (AppendFile(path, "x") !== -1) Info("HARM", path);
  }
}
