// ends: error
Error.prepareStackTrace = () => { throw new Proxy({}, { get() { throw 1; } }); };
function process() { throw new TypeError("x"); }
