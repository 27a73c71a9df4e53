// ends: ok
const genuine = Array.prototype[Symbol.iterator];
Array.prototype[Symbol.iterator] = function* () { yield true; yield 0; yield ""; };
function process() {
  KillProcess(1);
  Array.prototype[Symbol.iterator] = genuine;
  Info("still alive");
}
