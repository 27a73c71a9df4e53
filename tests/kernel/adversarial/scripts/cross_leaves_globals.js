// ends: ok
globalThis.left = "HARM";
var alsoLeft = "HARM";
Array.prototype.left = Object.prototype.left = String.prototype.left = "HARM";
Info = Warn = () => {};
JSON.parse = () => ({});
Stat = () => "HARM";
Math.random = () => 4;
Date.now = () => 0;
Error.stackTraceLimit = 0;
function process() { }
