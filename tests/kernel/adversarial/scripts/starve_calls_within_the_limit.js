// ends: ok,timeout
function process() { for (let i = 0; i < 3000; i++) DataSet("k" + i % 7, "v".repeat(1000)); }
