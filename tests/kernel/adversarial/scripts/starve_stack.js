// ends: error
function process() { process(); }
