// ends: error
Promise.prototype.then = function () { throw new Error("no"); };
Object.defineProperty(Promise, Symbol.species, { get() { throw new Error("no"); } });
async function process() { Info("ran"); }
