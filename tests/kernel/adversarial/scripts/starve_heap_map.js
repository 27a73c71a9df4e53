// ends: out_of_memory,error
function process() { const kept = new Map(); for (let i = 0; ; i++) kept.set(i, [i]); }
