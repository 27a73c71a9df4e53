// ends: ok
JSON.stringify = () => '["/etc/shadow"]';
JSON.parse = () => [true, "HARM", ""];
function process() { Info(Stat("/nonexistent") === null ? "honest" : "fooled"); }
