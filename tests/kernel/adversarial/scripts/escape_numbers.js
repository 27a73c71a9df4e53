// ends: ok
function process() {
  for (const pid of [0, -1, -0, 0.5, 1, 2 ** 31, 2 ** 32 + 1, 2 ** 53, NaN, Infinity, -Infinity, "1", [1], { valueOf: () => 1 }, true])
    if (KillProcess(pid) === 0) Info("HARM", String(pid));
}
