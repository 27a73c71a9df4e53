"""Shell reactions that wait and run: their own line, since they need no worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from raqib.model.clock import boottime_ns
from raqib.model.execution import Decision, LogLevel, LogLine, Outcome
from raqib.reactions.check import check_reaction
from raqib.reactions.escape import escape
from raqib.reactions.execution import Execution
from raqib.reactions.own_doing import OwnDoing
from raqib.reactions.settings import ReactionSettings
from raqib.reactions.shell.run import run_shell
from raqib.reactions.waiting import WaitingLine


class _End(NamedTuple):
    """How an execution ended."""

    outcome: Outcome
    problem: str = ""
    decision: Decision | None = None


class ShellLine:
    """Runs as many shell reactions at once as there are workers, an important one more. Belongs to one event loop."""

    def __init__(
        self,
        settings: ReactionSettings,
        on_log: Callable[[LogLine], None],
        on_finished: Callable[[Execution, Outcome, str, Decision | None], None],
        writable: Callable[[], bool],
    ) -> None:
        """Hear of each execution that is over, with its outcome, error and, if it is special, decision.

        `writable` tells whether the ledger can be written: without it nothing is run.
        """
        self._on_finished = on_finished
        self._worker_count = settings.worker_count
        self._max_log_bytes = settings.max_log_bytes
        self._on_log = on_log
        self._writable = writable
        self.own_doing = OwnDoing()
        """What these shells do."""
        self._waiting: WaitingLine[Execution] = WaitingLine(settings.max_waiting, settings.max_waiting_bytes)
        self._running: dict[asyncio.Task[_End], Execution] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether any waits or runs."""
        return bool(self._waiting or self._running)

    def push(self, execution: Execution) -> list[Execution]:
        """Take one in; return those that had to give way."""
        dropped = self._waiting.push(execution)
        self._dispatch()
        return dropped

    async def close(self) -> None:
        """End all that run, with their process groups, and drop all that wait."""
        while (execution := self._waiting.pop()) is not None:
            problem = f"{execution.place()}: dropped, raqib is stopping"
            self._on_finished(execution, "dropped", problem, None)
        self._end_running("ended, raqib is stopping")
        if self._running:
            await asyncio.wait(set(self._running))

    def switched_off(self) -> None:
        """End all that run, with their process groups: all actions were switched off."""
        self._end_running("ended, all actions were switched off")

    def _end_running(self, why: str) -> None:
        for task in self._running:
            task.cancel(why)

    def _dispatch(self) -> None:
        while self._may_start() and (execution := self._waiting.pop()) is not None:
            execution.started_ns = boottime_ns()
            task = asyncio.get_running_loop().create_task(self._run(execution))
            self._running[task] = execution
            task.add_done_callback(self._done)

    def _may_start(self) -> bool:
        return len(self._running) < self._worker_count + self._waiting.next_is_important

    def _done(self, task: asyncio.Task[_End]) -> None:
        execution = self._running.pop(task)
        try:
            end = task.result()
        except asyncio.CancelledError as ended:
            end = _End("dropped", str(ended))
        except Exception as error:
            end = _End("error", f"cannot be run: {escape(str(error))}")
        problem = f"{execution.place()}: {end.problem}" if end.problem else ""
        self._on_finished(execution, end.outcome, problem, end.decision)
        self._dispatch()

    async def _run(self, execution: Execution) -> _End:
        # As it is now: all actions may have been switched off while it waited.
        if execution.context.now().dry_run:
            return await self._check(execution)
        if not self._writable():
            return _End("refused", "the ledger cannot be written, so that no shell reaction is run")
        ended = await run_shell(
            execution.reaction.code,
            execution.detection.event_json,
            execution.timeout_s,
            lambda level, text: self._log(execution, level, text),
            lambda pid: self.own_doing.started(pid, execution.recipe),
        )
        if ended.timed_out:
            left = f"; {ended.problem}" if ended.problem else ""
            return _End("timeout", f"ended after {execution.timeout_s:g} s, its time limit{left}")
        if ended.status == 0:
            return _End("ok")
        how = f"signal {-ended.status}" if ended.status < 0 else f"status {ended.status}"
        return _End("error", f"ended with {how}")

    async def _check(self, execution: Execution) -> _End:
        """Do what a dry run does: look at the syntax."""
        loop = asyncio.get_running_loop()
        problem = await loop.run_in_executor(None, check_reaction, execution.reaction)
        return _End("ok", decision="would") if problem is None else _End("error", escape(str(problem)))

    def _log(self, execution: Execution, level: LogLevel, text: str) -> None:
        limit = self._max_log_bytes
        execution.log_bytes += len(text.encode("utf-8", "replace")) + 1
        if execution.log_bytes <= limit:
            self._on_log(execution.line(level, escape(text)))
        elif not execution.log_full:
            execution.log_full = True
            self._on_log(execution.line("warn", f"the reaction has written {limit} bytes; what follows is dropped"))
