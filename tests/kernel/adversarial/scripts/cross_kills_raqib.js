// ends: ok
function process() {
  const status = ReadFile("/proc/self/status");
  const pid = Number(/^Pid:\s+(\d+)/m.exec(status)?.[1]);
  const parent = Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]);
  Info("found", pid > 0, parent > 0);
  for (const one of [pid, parent, 1, 2]) if (KillProcess(one) !== -1) Info("HARM", one);
}
