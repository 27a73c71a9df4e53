// ends: ok
async function process() { await new Promise(() => {}); Info("HARM"); }
