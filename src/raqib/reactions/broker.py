"""Answers what a running reaction asks for: within its limits, through the one door to the actions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from raqib.actions.declare import Failed, Helper
from raqib.actions.helpers.table import HELPERS
from raqib.actions.perform import Door, refuse
from raqib.model.execution import ActionRecord, HelperCall, LogLevel, LogLine
from raqib.reactions.escape import escape
from raqib.reactions.execution import Execution
from raqib.reactions.process import WorkerProcess
from raqib.reactions.protocol import Call, HelperStub, Log, ProtocolError, Reply

LOG_LEVELS: dict[str, LogLevel] = {"info": "info", "warn": "warn", "error": "error"}

STUBS = tuple(HelperStub(helper.name, helper.error) for helper in HELPERS.values())
"""What a worker is told of the helpers."""

_MAX_REFUSALS_LOGGED = 20
"""Different ones of one execution; the ledger has more."""

_ENCODER = msgspec.json.Encoder()


class Broker:
    """Performs calls and takes log lines on behalf of executions."""

    def __init__(
        self,
        door: Door,
        on_log: Callable[[LogLine], None],
        max_calls: int,
        max_log_bytes: int,
        on_call: Callable[[HelperCall], None] | None = None,
    ) -> None:
        self._door = door
        self._on_call = on_call
        self._on_log = on_log
        self._max_calls = max_calls
        self._max_log_bytes = max_log_bytes

    def log(self, execution: Execution, worker: WorkerProcess, message: Log) -> None:
        """Pass a line on to the log while there is room for it. Raises ProtocolError."""
        level = LOG_LEVELS.get(message.level)
        if level is None or execution.call is not None:
            raise ProtocolError(f"expected a log line of a known level between two calls, got {message.level!r}")
        execution.log_bytes += len(message.text.encode("utf-8", "replace")) + 1
        if execution.log_bytes <= self._max_log_bytes:
            self._on_log(execution.line(level, escape(message.text)))
        elif not execution.log_full:
            execution.log_full = True
            limit = f"the reaction has logged {self._max_log_bytes} bytes; further lines are dropped"
            self._on_log(execution.line("warn", limit))
        elif execution.log_bytes > 16 * self._max_log_bytes + (64 << 20):
            raise ProtocolError("expected no more log lines once the limit was reached")
        worker.send(Reply('[true,false,""]' if execution.log_full else '[true,true,""]'))

    def call(self, execution: Execution, worker: WorkerProcess, message: Call) -> None:
        """Perform a helper call and answer it. Raises ProtocolError."""
        helper = HELPERS.get(message.helper)
        if helper is None or execution.call is not None:
            raise ProtocolError(f"expected one call at a time of a known helper, got {message.helper!r}")
        execution.calls += 1
        if execution.calls > self._max_calls:
            self._refuse(execution, worker, helper)
            return
        begun = self._door.begin(helper, execution.context, message.arguments)
        if isinstance(begun, ActionRecord):
            self._answer(execution, worker, message.arguments, begun)
        else:
            work = self._await(execution, worker, message.arguments, begun)
            execution.call = asyncio.get_running_loop().create_task(work)

    async def _await(
        self, execution: Execution, worker: WorkerProcess, arguments: str, rest: Awaitable[ActionRecord]
    ) -> None:
        record = await rest
        execution.call = None
        self._answer(execution, worker, arguments, record)

    def _answer(self, execution: Execution, worker: WorkerProcess, arguments: str, record: ActionRecord) -> None:
        execution.keep(record)
        if self._on_call is not None:
            self._on_call(HelperCall(execution.context.reaction, arguments, record))
        worker.send(_reply(record))
        if record.decision == "refused":
            self._log_refusal(execution, record)

    def _log_refusal(self, execution: Execution, record: ActionRecord) -> None:
        known = execution.refusals
        if record.reason not in known and len(known) < _MAX_REFUSALS_LOGGED:
            known.add(record.reason)
            self._on_log(execution.line("warn", f"{record.action} was refused: {escape(record.reason)}"))

    def _refuse(self, execution: Execution, worker: WorkerProcess, helper: Helper) -> None:
        # The prelude asks no more after that; a worker that goes on asking is not running it.
        reason = f"the limit of {self._max_calls} helper calls is reached"
        if execution.calls > 2 * self._max_calls + 1000:
            raise ProtocolError("expected no more calls once the limit was reached")
        if execution.calls == self._max_calls + 1:
            execution.keep(refuse(helper.name, execution.context, f"{reason}; later calls are not listed"))
            self._on_log(execution.line("warn", reason))
        worker.send(Reply(_ENCODER.encode((False, None, reason, True)).decode()))


def _reply(record: ActionRecord) -> Reply:
    try:
        return Reply(_ENCODER.encode((record.succeeded, record.value, record.reason)).decode())
    except (TypeError, UnicodeEncodeError) as error:
        failed = Failed(f"{record.action}: the result cannot be handed over: {error}")
        return Reply(_ENCODER.encode((False, None, failed.reason)).decode())
