// ends: ok
function process() {
  let deep = [];
  for (let i = 0; i < 200000; i++) deep = [deep];
  if (DataSet("k", deep) !== -1 || Errno() === "") Info("HARM");
  Info(deep);
}
