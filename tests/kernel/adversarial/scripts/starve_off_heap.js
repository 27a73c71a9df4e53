// ends: out_of_memory
const kept = [];
function process() { for (;;) kept.push(new Uint8Array(1 << 20).fill(1)); }
