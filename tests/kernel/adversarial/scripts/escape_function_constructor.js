// ends: ok
function process() {
  const outer = [].constructor.constructor("return this")();
  for (const name of ["require", "Deno", "process_", "__jsrunCallSync", "__host_op_sync__", "__bootstrap", "fetch"])
    if (outer[name] !== undefined) Info("HARM", name);
  if (Stat.constructor("return typeof __host_op_sync__")() !== "undefined") Info("HARM");
}
