// ends: timeout
async function process() { for (;;) await null; }
