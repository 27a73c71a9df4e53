// ends: ok
function process() { for (let i = 0; i < 4; i++) Info("y".repeat(8 << 20)); }
