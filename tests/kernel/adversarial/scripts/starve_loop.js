// ends: timeout
function process() { for (;;) ; }
