// ends: ok
function process() {
  Info('x\n{"event": "HARM-LINE", "level": "error"}\r\n\x1b[2J\u202eevil');
  console.error("\u009b31m", "\u2028");
}
