// ends: timeout,crashed
function process() { let x = 3n; for (;;) x *= x; }
