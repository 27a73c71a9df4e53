// ends: out_of_memory,error,crashed
const kept = [];
function process() { for (;;) kept.push(new Uint8Array(new SharedArrayBuffer(8 << 20)).fill(1)); }
