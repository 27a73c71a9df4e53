// ends: timeout
function process() { /^(a+)+$/.test("a".repeat(64) + "!"); }
