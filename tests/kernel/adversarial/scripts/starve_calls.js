// ends: timeout
function process() { for (;;) DataGet("k"); }
