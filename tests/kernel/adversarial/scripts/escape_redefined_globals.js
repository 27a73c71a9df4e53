// ends: error
for (const name of Object.getOwnPropertyNames(globalThis))
  if (!["process", "globalThis", "Object"].includes(name) && !name.startsWith("__raqib")) try { delete globalThis[name]; } catch {}
function process() {}
