// ends: ok
function process() {
  Error.prepareStackTrace = (error, sites) => sites;
  const look = () => {
    for (const site of new TypeError().stack) {
      const call = site.getFunction();
      if (call && ![process, look, argument.toJSON].includes(call)) Info("HARM", call.name);
      const self = site.getThis();
      if (self !== undefined && self !== globalThis && self !== argument) Info("HARM", typeof self);
    }
  };
  const argument = { toJSON() { look(); return "/"; } };
  look();
  Stat(argument);
}
