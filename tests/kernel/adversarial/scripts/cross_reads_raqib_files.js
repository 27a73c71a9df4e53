// ends: ok
function process() {
  for (const path of ["/proc/self/environ", "/proc/self/mem", "/proc/1/mem", "/dev/mem", "/proc/kcore", "/dev/zero", "/dev/random"]) {
    const found = ReadFile(path);
    if (path.endsWith("mem") && found !== "") Info("HARM", path);
    if (path.startsWith("/dev") && found !== "") Info("HARM", path);
  }
}
