// ends: ok
Reflect.apply = Function.prototype.apply = Function.prototype.call = () => { throw new Error("no"); };
Object.defineProperty = () => { throw new Error("no"); };
Array.prototype.join = Array.prototype.includes = () => { throw new Error("no"); };
function process() { Info("logged"); if (KillProcess(1) !== -1) Info("HARM"); }
