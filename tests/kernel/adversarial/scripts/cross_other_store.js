// ends: ok
function process() {
  for (const key of ["secret", "victim_recipe/secret", "../victim_recipe/secret", "victim_recipe\0secret", "' OR 1=1 --"])
    if (DataGet(key) !== "") Info("HARM", key);
  if (DataKeys().includes("secret") || DataHasKey("secret")) Info("HARM");
  name = "victim_recipe";
  kind = "victim";
  globalThis.name = "victim_recipe";
  if (DataGet("secret") !== "") Info("HARM");
  DataSet("secret", "overwritten");
  DataDelete("secret");
}
