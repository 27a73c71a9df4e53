// ends: out_of_memory,timeout
const kept = [];
function process() { for (;;) try { kept.push(new ArrayBuffer(16 << 20)); new Uint8Array(kept.at(-1)).fill(1); } catch {} }
