// ends: error
function process() {
  const odd = { [Symbol.toPrimitive]() { throw new Error("no"); }, get [Symbol.toStringTag]() { throw new Error("no"); } };
  Info(odd, Symbol("s"), Symbol.iterator, 1n, undefined, null, () => 1, new Proxy(() => 1, {}));
  if (KillProcess(Symbol("1")) !== -1 || KillProcess(10n) !== -1 || KillProcess(() => 1) !== -1) Info("HARM");
  Object.defineProperty(Array, Symbol.hasInstance, { value: () => true });
  Object.defineProperty(Promise, Symbol.hasInstance, { value: () => true });
}
