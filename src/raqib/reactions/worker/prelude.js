// Runs in every isolate before the reaction's code: turns one raw host function into the helpers, and takes away
// what is not ECMAScript. Nothing here guards anything: that is the daemon's part.
(function prelude(operation, stubs, entryName) {
  "use strict";
  const global = globalThis;
  const host = global.__host_op_sync__;
  const { stringify, parse } = JSON;
  const { defineProperty, setPrototypeOf } = Object;
  const { apply } = Reflect;
  const NativeError = global.Error;
  const evaluate = eval;
  const text = String;
  const join = Array.prototype.join;
  const includes = Array.prototype.includes;
  const then = Promise.prototype.then;

  for (const name of [
    "__bootstrap", "__jsrunCallSync", "__jsrunCallAsync", "__host_op_sync__", "__host_op_async__",
    "__jsrun_bind_object", "__jsrun_from_py_stream", "ReadableStream", "queueMicrotask", "WebAssembly", "console",
    "setTimeout", "setInterval", "clearTimeout", "clearInterval",
  ]) delete global[name];

  const define = (name, value) =>
    defineProperty(global, name, { value, writable: true, enumerable: false, configurable: true });

  let inert = false;
  let reason = "";
  let exhausted = "";
  let roomInLog = true;
  let rejection;

  const ask = (name, payload) => parse(host(operation, name, payload));

  for (const [name, error] of stubs) {
    define(name, {
      [name](...values) {
        if (inert) return error;
        if (exhausted) {
          reason = exhausted;
          return error;
        }
        let payload;
        try {
          payload = stringify(values);
        } catch (problem) {
          reason = name + ": expected plain values, got some that JSON cannot carry";
          return error;
        }
        const [succeeded, value, why, last] = ask(name, payload);
        reason = why;
        if (last) exhausted = why;
        return succeeded ? value : error;
      },
    }[name]);
  }
  define("Errno", function Errno() { return reason; });

  const show = (value) => {
    if (typeof value === "string") return value;
    try {
      if (value instanceof NativeError) return text(value.stack || value);
      if (typeof value === "object" && value !== null) return stringify(value) ?? text(value);
      return text(value);
    } catch (problem) {
      return "[a value that cannot be shown]";
    }
  };
  const logger = (level) => (...values) => {
    if (inert || !roomInLog) return;
    for (let i = 0; i < values.length; i++) values[i] = show(values[i]);
    roomInLog = ask(level, apply(join, values, [" "]))[1];
  };
  const named = (name, call) => defineProperty(call, "name", { value: name, configurable: true });
  const info = named("Info", logger("info"));
  const warn = named("Warn", logger("warn"));
  const error = logger("error");
  define("Info", info);
  define("Warn", warn);

  // Called, it logs; constructed or extended, it is the constructor that it always was.
  const ErrorOrLog = new Proxy(NativeError, { apply: (target, self, values) => apply(error, undefined, values) });
  defineProperty(NativeError.prototype, "constructor", { value: ErrorOrLog, writable: true, configurable: true });
  for (const Derived of [
    AggregateError, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError,
  ]) setPrototypeOf(Derived, ErrorOrLog);
  define("Error", ErrorOrLog);
  define("console", { log: info, info, debug: info, warn, error: named("error", error) });

  const ACTIONS = {
    fasync: "fasync", flock: "flock", fsync: "fsync", llseek: "llseek", mmap: "mmap", open: "open", read: "read",
    write: "write", rename: "rename", truncate: "truncate", unlink: "unlink", create: "create", close: "close",
    link: "link", execve: "execve", exec: "execve", seek: "llseek", async: "fasync",
  };
  const BASE = [
    "uuid", "timestamp", "note", "metadata", "attenuator", "score", "background", "habitat", "scenarios",
  ];
  const WITHOUT_PROCESS = ["outcome", "notify", "agent"];

  const complete = (data) => {
    const base = (data.base ??= {});
    data.metadata ??= base.metadata ?? {};
    const background = (data.background ??= base.background ?? {});
    background.ancestry ??= [];
    const flows = (background.flows ??= {});
    flows.protocols ??= [];
    for (const protocol of flows.protocols) protocol.name = protocol.proto;
    for (const field of BASE) {
      if (field in data) base[field] = data[field];
      else if (field in base) data[field] = base[field];
    }
    if (!apply(includes, WITHOUT_PROCESS, [data.event_type])) data.process ??= {};
    if (data.process) {
      defineProperty(data.process, "args_line", {
        value: apply(join, data.process.args ?? [], [" "]), writable: true, configurable: true, enumerable: true,
      });
    }
    if (data.file) {
      const actions = (data.file.actions ??= []);
      for (const name in ACTIONS) {
        defineProperty(actions, name, {
          value: apply(includes, actions, [ACTIONS[name]]), writable: true, configurable: true, enumerable: false,
        });
      }
    }
    return data;
  };

  let event;
  defineProperty(global, entryName, {
    value: {
      begin(kind, name, uuid, data) {
        event = complete(data);
        define("kind", kind);
        define("name", name);
        define("uuid", uuid);
        define("data", event);
      },
      // Has the engine compile what every execution uses.
      warm() {
        complete({
          event_type: "file_access", process: { args: [""] }, file: { actions: ["open"] },
          background: { flows: { protocols: [{ proto: "tcp" }] } },
        });
        stringify(["warm", { up: 1 }]);
        parse('[true,0,""]');
        show({ warm: "up" });
        inert = true;
        info("");
        for (const [name] of stubs.slice(0, 1)) global[name]();
        inert = false;
      },
      // Waits for a reaction and its event, and once that is in place for the word to begin; then runs it. All that is
      // one call from outside, because each is a way between threads and back. Not a function of this scope: the code's
      // own scope is the global one.
      wait() {
        const job = host(operation, "job", "");
        if (!job) return;
        const [code, ...rest] = parse(job);
        this.begin(...rest);
        if (host(operation, "go", "") !== "go") return;
        this.run(evaluate(code));
      },
      beginInert() {
        inert = true;
        this.begin("kind", "name", "00000000-0000-7000-8000-000000000000", {});
      },
      run(process) {
        if (typeof process !== "function") throw new TypeError("expected a function process(data) at the top level");
        const result = process(event);
        if (result instanceof Promise) apply(then, result, [undefined, (problem) => { rejection = [problem]; }]);
      },
      settle() {
        if (rejection) throw rejection[0];
      },
    },
    enumerable: false,
  });
})
