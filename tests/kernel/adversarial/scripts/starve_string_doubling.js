// ends: error,out_of_memory
function process() { let x = "x"; for (;;) x += x; }
