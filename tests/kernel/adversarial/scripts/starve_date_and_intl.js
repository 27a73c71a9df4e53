// ends: ok,timeout
function process() {
  for (let i = 0; i < 50; i++) new Intl.DateTimeFormat("de", { dateStyle: "full" }).format(new Date(i * 1e11));
  "x".repeat(1e6).normalize("NFKD");
}
