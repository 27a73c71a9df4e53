// ends: timeout
for (;;) ;
function process() {}
