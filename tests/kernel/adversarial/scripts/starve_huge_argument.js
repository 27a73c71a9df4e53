// ends: ok
function process() {
  const huge = "x".repeat(7 << 20);
  if (DataSet("k", huge) !== -1 || WriteFile("/tmp/raqib-adversarial", huge) !== -1 || ReadFile(huge) !== "") Info("HARM");
  if (!Errno()) Info("HARM");
}
