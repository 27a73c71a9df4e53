// ends: ok
function process() {
  if (KillProcess() !== -1 || KillProcess(1, 1) !== -1 || KillCurrent(1) !== -1 || DataSet("a") !== -1) Info("HARM");
  if (KillProcess.apply(null, new Array(100000).fill(1)) !== -1) Info("HARM");
  if (NetBlockIp(undefined) !== -1 || NetBlockIp(null) !== -1 || NetBlockIp("") !== -1) Info("HARM");
}
