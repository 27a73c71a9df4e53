// ends: out_of_memory,timeout
function process() { const again = () => Promise.resolve().then(again); again(); }
