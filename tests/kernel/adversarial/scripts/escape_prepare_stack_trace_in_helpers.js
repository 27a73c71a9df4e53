// ends: ok
Error.prepareStackTrace = (error, sites) => { KillProcess(1); return sites; };
function process() { Info(new TypeError("x").stack.length > 0); Info(new TypeError("y")); }
