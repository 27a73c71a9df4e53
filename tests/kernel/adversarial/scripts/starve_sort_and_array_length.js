// ends: error,ok,timeout,out_of_memory
function process() { new Array(2 ** 32 - 2).fill(0).sort(); }
