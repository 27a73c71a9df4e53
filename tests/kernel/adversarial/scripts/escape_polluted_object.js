// ends: ok
Object.prototype[0] = true;
Object.prototype[1] = "HARM";
Object.prototype.succeeded = true;
Object.prototype.get = () => "HARM";
function process() { if (typeof ReadFile("/nonexistent") !== "string" || ReadFile("/nonexistent") !== "") Info("HARM"); }
