// ends: ok
function process() {
  function sloppy() {
    try {
      const above = sloppy.caller;
      if (above && above !== argument.toJSON) Info("HARM", above.name);
      if (argument.toJSON.caller) Info("HARM");
    } catch {}
  }
  const argument = { toJSON: function () { sloppy(); return "/"; } };
  Stat(argument);
}
