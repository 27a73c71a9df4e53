// ends: out_of_memory
const kept = [];
function process() { for (;;) kept.push({ a: [1, 2, 3], b: { c: "d" } }); }
