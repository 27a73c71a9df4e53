// ends: out_of_memory
const kept = [];
function process() { for (let i = 0; ; i++) kept.push("x".repeat(1 << 16) + i); }
