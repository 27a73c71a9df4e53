// ends: ok
Object.freeze(globalThis);
Object.freeze(Object.prototype);
Object.freeze(Function.prototype);
function process() { Info("frozen"); DataSet("k", "v"); }
