"""The V8 engine behind a small interface: one fresh isolate an execution."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsrun

from raqib.reactions.protocol import Check, Ended, Execute, Go, HelperStub, ToWorker

Host = Callable[[str, str], str]
"""Gets a helper's name and a payload, returns the answer as JSON."""

Receive = Callable[[], ToWorker | None]
"""Waits for the next message; None if there will be none."""

_FAILURES = (jsrun.JavaScriptError, jsrun.RuntimeTerminated, RuntimeError)

_PRELUDE = Path(__file__).with_name("prelude.js").read_text()
"""Read at import: there are no files any more when it is used."""

_SOURCE_NAME = "reaction.js"
_PRELUDE_LINE = 1 << 16
"""The prelude is put below this many lines, farther down than any reaction's code."""
_MAX_SERIALIZED = 64 << 20
_MAX_MESSAGE = 4096


class Engine:
    """Makes isolates."""

    def __init__(self, helpers: tuple[HelperStub, ...], heap_bytes: int, host: Host) -> None:
        """`heap_bytes` is the limit of V8's heap in each isolate."""
        self._stubs = "[" + ",".join(f"[{json.dumps(stub.name)},{stub.error}]" for stub in helpers) + "]"
        self._heap_bytes = heap_bytes
        self._host = host

    def warm_up(self) -> None:
        """Load whatever the engine loads late: files cannot be opened once the sandbox is closed."""
        isolate = self.isolate()
        job = Execute("function process() { throw new Error('x') }", "", "", "", "{}", self._heap_bytes, 0)
        messages = iter((job, Go()))
        isolate.wait(lambda: next(messages))
        isolate.close()
        isolate = self.isolate()
        isolate.check(Check("}"))
        isolate.close()

    def isolate(self, heap_bytes: int | None = None) -> Isolate:
        """Return a fresh isolate with the helpers in it, and another heap limit than usual if one is given."""
        return Isolate(self._stubs, heap_bytes or self._heap_bytes, self._host)


@dataclass
class Waited:
    """What an isolate has got while it waited; None where the daemon is gone, or was not asked."""

    job: ToWorker | None = None
    go: ToWorker | None = None
    started_ns: int = 0
    """When the word to begin came."""
    ended: Ended | None = None
    """How the reaction ended; None if there was none for this isolate."""


class Isolate:
    """One isolate, for one execution."""

    def __init__(self, stubs: str, heap_bytes: int, host: Host) -> None:
        config = jsrun.RuntimeConfig(
            max_heap_size=heap_bytes, enable_console=False, max_serialization_bytes=_MAX_SERIALIZED
        )
        self._runtime = jsrun.Runtime(config)
        self._host = host
        self._waited: Waited | None = None
        self.heap_bytes = heap_bytes
        operation = self._runtime.register_op("raqib", self._handle, mode="sync")
        # Not to be met by chance; code that looks for it can harm its own execution only.
        self._entry = f"__raqib_{secrets.token_hex(8)}"
        self._runtime.eval("\n" * _PRELUDE_LINE + f"{_PRELUDE}({operation},{stubs},{json.dumps(self._entry)})")
        self._runtime.eval(f"{self._entry}.warm()")

    def close(self) -> None:
        """Throw the isolate away."""
        self._runtime.close()

    def wait(self, receive: Receive) -> Waited:
        """Take a job, put its event in place, wait for the word to begin, and run it to its end, microtasks included.

        The engine's event loop turns without pause, at the cost of a whole processor, whenever that thread has nothing
        to do: so an isolate that waits must wait inside a call. A job that is not one for this isolate (a Check,
        another heap) is returned as it is, and no word awaited.
        """
        self._receive = receive
        waited = self._waited = Waited()
        try:
            self._runtime.eval(f"{self._entry}.wait()")
            if waited.go is not None:
                self._runtime.eval(f"{self._entry}.settle()")
        except _FAILURES as error:
            if waited.go is None:
                waited.go = receive()
            waited.ended = self._located(_failed(error, waited.started_ns, lasts_own=True), waited.job)
        else:
            waited.ended = None if waited.go is None else Ended("ok", started_ns=waited.started_ns)
        finally:
            self._waited = None
        return waited

    def _located(self, ended: Ended, job: ToWorker | None) -> Ended:
        """Say where a syntax error is: for the engine it was where the code was handed over."""
        if ended.line or not ended.error.startswith("SyntaxError") or not isinstance(job, Execute):
            return ended
        try:
            # Compiled, not run.
            self._runtime.eval(f"throw 0;\n{job.code}")
        except jsrun.JavaScriptError as error:
            line, column = _position(error.frames, lasts_own=False)
            if error.name == "SyntaxError" and line > 1:
                return Ended(ended.outcome, ended.error, line - 1, column, ended.started_ns)
        except _FAILURES:
            pass
        return ended

    def _handle(self, name: str, payload: str) -> str:
        waited = self._waited
        if waited is None or waited.go is not None:
            return self._host(name, payload)
        if name == "go":
            waited.go = self._receive()
            waited.started_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            return "go" if isinstance(waited.go, Go) else ""
        job = waited.job = self._receive()
        if not isinstance(job, Execute) or job.heap_bytes != self.heap_bytes:
            return ""
        # Its value is the function that is called; the event is JSON already.
        code = f"{job.code}\n;typeof process === 'undefined' ? undefined : process\n//# sourceURL={_SOURCE_NAME}"
        return f"[{json.dumps(code)},{json.dumps(job.kind)},{json.dumps(job.name)},{json.dumps(job.uuid)},{job.data}]"

    def check(self, job: Check) -> Ended:
        """Run a reaction's top level with inert helpers and look for its `process`."""
        self._runtime.eval(f"{self._entry}.beginInert()")
        started_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        lasts_own = False
        try:
            self._runtime.eval(f"{job.code}\n//# sourceURL={_SOURCE_NAME}")
            lasts_own = True
            self._runtime.eval(
                "if (typeof process !== 'function')"
                " throw new TypeError('expected a function process(data) at the top level')"
            )
        except _FAILURES as error:
            return _failed(error, started_ns, lasts_own)
        return Ended("ok", started_ns=started_ns)


def _failed(error: Exception, started_ns: int, lasts_own: bool = False) -> Ended:
    if isinstance(error, jsrun.JavaScriptError):
        line, column = _position(error.frames, lasts_own)
        return Ended("error", _message(error), line, column, started_ns)
    outcome = "out_of_memory" if isinstance(error, jsrun.RuntimeTerminated) else "error"
    return Ended(outcome, str(error)[:_MAX_MESSAGE], started_ns=started_ns)


def _message(error: jsrun.JavaScriptError) -> str:
    name, message = error.name, error.message
    return (f"{name}: {message}" if name and message else str(message or name or error))[:_MAX_MESSAGE]


def _position(frames: Sequence[Mapping[str, Any]], lasts_own: bool) -> tuple[int, int]:
    """Return line and column of the innermost frame within the reaction's own code, or zeros.

    The engine calls every piece of code by the same name; the prelude is told by its line numbers, and the outermost
    frame, once the top level is through (`lasts_own`), is that of the call from outside.
    """
    for frame in frames:
        line, column = frame.get("line_number") or 0, frame.get("column_number") or 0
        if lasts_own and frame is frames[-1] and not frame.get("function_name"):
            continue
        if frame.get("file_name") in (None, "<eval>", _SOURCE_NAME) and 0 < line <= _PRELUDE_LINE:
            return line, column
    return 0, 0
