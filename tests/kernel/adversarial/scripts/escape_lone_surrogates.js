// ends: ok
function process() {
  for (const text of ["\ud800", "\udfff x", "a\ud83d", "\u0000", "\u2028\u202e\x1b[31m"]) {
    Info(text);
    DataSet("k", text);
    DataSet(text, "v");
    ReadFile(text);
  }
  Info("end");
}
