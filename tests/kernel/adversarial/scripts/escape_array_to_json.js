// ends: ok
Array.prototype.toJSON = function () { return ["1"]; };
Object.prototype.toJSON = function () { return { 0: 1, length: 1 }; };
function process() { if (KillProcess(4242424) !== -1) Info("HARM"); }
