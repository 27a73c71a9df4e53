// ends: ok
function process() {
  const nested = { toJSON() { DataSet("inner", "1"); return "outer"; } };
  if (DataSet(nested, "2") !== 0 || DataGet("outer") !== "2" || DataGet("inner") !== "1") Info("HARM");
}
