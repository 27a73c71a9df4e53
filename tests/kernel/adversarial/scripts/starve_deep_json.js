// ends: ok
function process() {
  const text = "[".repeat(5000) + "]".repeat(5000);
  if (DataSet("deep", text) !== 0 || DataGet("deep") !== text) Info("HARM");
  let deep = {};
  for (let i = 0; i < 3000; i++) deep = { a: deep };
  if (Notify("t", deep) === 0) Info("deep fields were taken");
}
