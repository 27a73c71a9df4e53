// ends: error
function process() { throw { get message() { throw this; }, toString() { throw this; }, stack: { toString() { throw this; } } }; }
