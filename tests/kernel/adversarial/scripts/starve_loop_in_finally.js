// ends: timeout
function process() { for (;;) try { throw 1; } catch { } finally { continue; } }
