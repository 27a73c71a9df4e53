// ends: timeout
function process() { Stat({ toJSON() { for (;;) ; } }); }
