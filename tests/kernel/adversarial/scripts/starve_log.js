// ends: timeout
function process() { for (;;) Info("spam".repeat(100)); }
