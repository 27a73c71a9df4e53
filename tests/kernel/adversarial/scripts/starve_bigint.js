// ends: error,timeout,out_of_memory
function process() { let x = 3n; for (;;) x *= x; }
