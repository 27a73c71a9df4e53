// ends: ok,timeout
const registry = new FinalizationRegistry(() => { for (;;) ; });
function process() { for (let i = 0; i < 100000; i++) registry.register({}, i); }
