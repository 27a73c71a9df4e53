// ends: error
Object.defineProperty(Promise, Symbol.hasInstance, { value: () => true });
function process() { return { then(resolve) { Info("called as a promise"); resolve(); } }; }
