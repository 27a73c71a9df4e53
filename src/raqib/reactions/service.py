"""Runs the reactions of detections: takes them in, gives them to workers, ends those that go too far, reports."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from raqib.actions.context import ActionContext, Services
from raqib.actions.network_access import NetworkAccess
from raqib.actions.perform import Door
from raqib.actions.settings import NO_EMERGENCY, EmergencySettings, Places
from raqib.errors import NotPermittedError
from raqib.ledger.chain import SYNC_INTERVAL_S, Entry, Head
from raqib.model.clock import boottime_ns
from raqib.model.detection import Detection
from raqib.model.execution import BreakerOpened, Decision, Finished, HelperCall, LogLine, Notice, Outcome
from raqib.model.in_flight import Hold
from raqib.reactions.broker import STUBS, Broker
from raqib.reactions.escape import escape
from raqib.reactions.execution import Execution
from raqib.reactions.pool import WorkerPool
from raqib.reactions.process import WorkerProcess
from raqib.reactions.protocol import Call, Ended, Execute, Go, Log, ProtocolError, ToDaemon
from raqib.reactions.resources import open_empty_directory, open_services
from raqib.reactions.settings import ReactionSettings, memory_limit
from raqib.reactions.shell_line import ShellLine
from raqib.reactions.waiting import WaitingLine

_T = TypeVar("_T")

_SPARE_WORKERS = 1

_LONGEST_ERROR = 4096

_LAST_CALLS_S = 2.0
"""How long stopping waits for actions that have begun: a file may hang."""

_DECISIONS: dict[Outcome, Decision] = {"ok": "done", "refused": "refused", "dropped": "refused"}
"""How the ledger calls the outcome of an execution; all others are errors."""


class HasNetworkAccess(Protocol):
    """What is asked of the network."""

    @property
    def access(self) -> NetworkAccess | None:
        """What helpers may do; None where no network policy is enabled."""
        ...


class Reactions:
    """The reactions of a running daemon. Belongs to one event loop, on the daemon's main thread."""

    def __init__(
        self,
        settings: ReactionSettings,
        places: Places,
        *,
        emergency: EmergencySettings = NO_EMERGENCY,
        on_log: Callable[[LogLine], None],
        log_written: Callable[[], None] = lambda: None,
        on_finished: Callable[[Finished], None],
        on_notify: Callable[[Notice], None] = lambda notice: None,
        on_breaker: Callable[[BreakerOpened], None] = lambda opened: None,
        on_call: Callable[[HelperCall], None] | None = None,
        network: Callable[[], NetworkAccess | None] = lambda: None,
        make_door: Callable[[], Door] = Door,
    ) -> None:
        """Prepare; nothing is opened or started yet. The callbacks are called in the event loop and must not block.

        `log_written`, called in a thread before the host goes down, waits until the log is written, within limits;
        `make_door` makes what performs the helper calls.
        """
        self._settings = settings
        self._places = places
        self._worker_count = settings.worker_count
        self._emergency = emergency
        self._make_door = make_door
        self._on_log = _walled(on_log)
        self._log_written = log_written
        self._on_finished = _walled(on_finished)
        self._on_breaker = _walled(on_breaker)
        self._on_call = None if on_call is None else _walled(on_call)
        self._on_notify = _walled(on_notify)
        self._network = network
        self._heap_bytes = settings.heap_bytes(None)
        self._waiting: WaitingLine[Execution] = WaitingLine(settings.max_waiting, settings.max_waiting_bytes)
        self._running: dict[WorkerProcess, Execution] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._open = self._accepting = False
        self._resources = contextlib.ExitStack()

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The process ids of all workers."""
        return self._pool.pids if self._open else ()

    @property
    def sandbox_missing(self) -> tuple[str, ...]:
        """The parts of the workers' sandbox that this host does not permit."""
        return self._pool.missing if self._open else ()

    @property
    def services(self) -> Services:
        """What the actions work with, while it runs: ledger, data store, switch."""
        return self._services

    @property
    def running(self) -> int:
        """How many executions run."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many executions wait."""
        return len(self._waiting) + (len(self._shells) if self._open else 0)

    @property
    def ready_workers(self) -> int:
        """How many workers have a fresh isolate and nothing to do."""
        return self._pool.idle if self._open else 0

    @property
    def ledger_head(self) -> Head:
        """The ledger's last line."""
        return self._ledger.head

    def use_network(self, network: HasNetworkAccess) -> None:
        """Let helpers do what `network` allows at the time."""
        self._network = lambda: network.access

    async def start(self) -> None:
        """Open store and ledger and start the workers; returns when the first of them is warm.

        Must be called on a thread that lives as long as the daemon: workers die with the thread that started them.

        Raises OSError or RaqibError if the data directory cannot be used, NotPermittedError if no worker comes up.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self._open_resources()
        except BaseException:
            self._resources.close()
            raise
        self._syncing = asyncio.get_running_loop().create_task(self._sync_ledger())
        await self._pool.fill()
        if not self._pool.idle:
            problem = self._pool.last_problem
            await self.close()
            raise NotPermittedError(f"no worker for reactions comes up: {problem}")

    def submit(self, detection: Detection) -> None:
        """Start all reactions of a detection's recipe, as soon as workers are free. Never blocks.

        Raises RuntimeError before `start` and after `close`.
        """
        self.hold(detection).release()

    def hold(self, detection: Detection, share: Hold | None = None) -> Held:
        """Take in all reactions of a detection's recipe; none runs before they are released.

        Meanwhile workers that are free get the event. `share` is taken for each reaction until it is over. Never
        blocks.
        Raises RuntimeError when it does not run.
        """
        if not self._accepting:
            raise RuntimeError("reactions are not running")
        detection = detection.without_background()
        recipe = detection.recipe
        settings = self._settings
        dry_run = settings.dry_run or recipe.mode != "react"
        heap_bytes = settings.heap_bytes(recipe.limits.heap_mib)
        cause = self._shells.own_doing.cause_of(detection.ancestry)
        held = Held(self)
        for index, reaction in enumerate(recipe.reactions):
            context = ActionContext(detection, index, dry_run, self._services)
            shell = reaction.format == "shell"
            timeout_s = settings.timeout(recipe.limits.timeout_s, shell=shell)
            execution = Execution(context, timeout_s, heap_bytes, share)
            if share is not None:
                share.acquire()
            if shell and not (settings.shell or dry_run):
                held.refused.append(execution)
                continue
            if cause is not None and not context.spend("own_doing"):
                problem = f"this was started by a shell reaction of recipe {cause!r}, {context.used_up('own_doing')}"
                self._finish(execution, "refused", f"{execution.place()}: {problem}")
                continue
            self._idle.clear()
            if shell:
                held.shells.append(execution)
            else:
                held.scripts.append(execution)
                self._take_in(self._waiting, execution)
        self._dispatch()
        return held

    async def wait_ready(self, workers: int) -> None:
        """Wait until so many workers, at most `settings.worker_count + 1`, have a fresh isolate and nothing to do."""
        await self._pool.wait_idle(min(workers, self._worker_count + _SPARE_WORKERS))

    async def drain(self) -> None:
        """Wait until nothing waits or runs."""
        while not self._idle.is_set() or self._calls:
            await self._idle.wait()
            if self._calls:
                await asyncio.wait(self._calls)

    async def close(self) -> None:
        """End everything at once: what runs or waits is dropped (drain first to let it finish)."""
        if not self._open:
            return
        self._accepting = False
        while (execution := self._waiting.pop()) is not None:
            self._finish(execution, "dropped", f"{execution.place()}: dropped, raqib is stopping")
        for worker, execution in list(self._running.items()):
            self._end(worker, execution, "dropped", "ended, raqib is stopping")
        await self._shells.close()
        await self._pool.close()
        if self._calls:
            await asyncio.wait(self._calls, timeout=_LAST_CALLS_S)
        self._syncing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._syncing
        self._open = False
        self._resources.close()

    # What workers do.

    def worker_ready(self, worker: WorkerProcess) -> None:
        """Give it the next execution."""
        self._pool.keep(worker)
        self._dispatch()

    def worker_said(self, worker: WorkerProcess, message: ToDaemon) -> None:
        """Deal with a message; one that is not due ends the worker. Raises ProtocolError."""
        execution = self._running.get(worker)
        if execution is None or execution.started_ns is None:
            raise ProtocolError(f"expected nothing between two executions, got {type(message).__name__}")
        match message:
            case Call():
                self._broker.call(execution, worker, message)
                if execution.call is not None:
                    self._calls.add(execution.call)
                    execution.call.add_done_callback(self._call_done)
            case Log():
                self._broker.log(execution, worker, message)
            case Ended():
                self._ended(worker, execution, message)

    def worker_gone(self, worker: WorkerProcess) -> None:
        """Replace it, and report the execution that it took with it."""
        self._pool.replace(worker)
        execution = self._running.get(worker)
        if execution is None:
            if worker.violation:
                self._tell_trouble(f"an idle worker broke the protocol and was ended: {worker.violation}")
            return
        killed = worker.exit_status == -signal.SIGKILL and not worker.violation
        # If all are killed at once, it may have been given to each of them.
        most = self._worker_count + _SPARE_WORKERS + 2
        if self._accepting and execution.begin_anew(killed=killed, most=most):
            del self._running[worker]
            self._waiting.put_back(execution)
            self._tell_trouble(f"{execution.place()}: its worker ended before it had done anything; another runs it")
            self._dispatch()
            return
        if worker.violation:
            self._end(worker, execution, "crashed", f"its worker broke the protocol: {worker.violation}")
        elif "out of memory" in worker.output.lower() or "MemoryError" in worker.output:
            self._end(worker, execution, "out_of_memory", "out of memory")
        else:
            status = worker.exit_status or 0
            how = f"signal {-status}" if status < 0 else f"status {status}"
            detail = f": {escape(worker.output)}" if worker.output else ""
            self._end(worker, execution, "crashed", f"its worker ended with {how}{detail}")

    def _tell_trouble(self, problem: str) -> None:
        self._on_log(LogLine("error", f"reactions: {escape(problem)}", "", "", "", 0))

    def _open_resources(self) -> None:
        settings, places, stack = self._settings, self._places, self._resources
        self._services = open_services(
            settings,
            places,
            stack,
            lambda: self.worker_pids,
            self._emergency,
            on_breaker=self._breaker_opened,
            on_notice=self._on_notify,
            on_emergency=_from_threads(self._log_emergency, then=self._log_written),
            network=lambda: self._network(),
        )
        self._ledger = self._services.ledger
        door = self._make_door()
        stack.callback(door.close)
        directory = open_empty_directory(places.data_dir / "empty", stack)
        self._broker = Broker(door, self._on_log, settings.max_helper_calls, settings.max_log_bytes, self._on_call)
        self._pool = WorkerPool(
            self, self._tell_trouble, self._worker_count + _SPARE_WORKERS, settings.setup(STUBS), directory
        )
        self._shells = ShellLine(settings, self._on_log, self._finish, self._ledger.writable)
        self._services.switch.when_disarmed(lambda: self._loop.call_soon_threadsafe(self._shells.switched_off))
        self._open = self._accepting = True

    def _breaker_opened(self, opened: BreakerOpened) -> None:
        self._loop.call_soon_threadsafe(self._on_breaker, opened)

    def _log_emergency(self, reason: str) -> None:
        self._on_log(LogLine("error", escape(reason), "", "", "", 0))

    def _take_in(self, line: WaitingLine[Execution] | ShellLine, execution: Execution) -> None:
        for dropped in line.push(execution):
            problem = f"dropped, {len(line)} executions are waiting already"
            self._finish(dropped, "dropped", f"{dropped.place()}: {problem}")

    def _dispatch(self) -> None:
        while self._waiting and self._may_start():
            worker = self._pool.acquire()
            if worker is None or (execution := self._waiting.pop()) is None:
                return
            self._running[worker] = execution
            detection = execution.detection
            execution.worker = worker
            worker.send(
                Execute(
                    code=execution.reaction.code,
                    kind=detection.recipe.kind,
                    name=detection.recipe.name,
                    uuid=detection.event.uuid,
                    data=detection.data_json.decode("utf-8", "replace"),
                    heap_bytes=execution.heap_bytes,
                    data_bytes=memory_limit(execution.heap_bytes),
                )
            )
            if execution.released:
                self._go(execution, worker)

    def _may_start(self) -> bool:
        """Tell whether the next execution may have a worker: the last one is kept for important ones."""
        if self._waiting.next_is_important:
            return len(self._running) < self._worker_count + _SPARE_WORKERS
        # Where nothing runs, a worker that was ended is being replaced: nobody waits for that.
        return not self._running or (len(self._running) < self._worker_count and self._pool.has_spare)

    def _go(self, execution: Execution, worker: WorkerProcess) -> None:
        execution.started_ns = boottime_ns()
        execution.deadline = self._loop.call_later(execution.timeout_s, self._time_out, worker, execution)
        worker.send(Go())

    def _call_done(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled() and (error := call.exception()) is not None:
            problem = escape(f"{type(error).__name__}: {error}")
            self._on_log(LogLine("error", f"a helper call failed inside raqib: {problem}", "", "", "", 0))

    def _ended(self, worker: WorkerProcess, execution: Execution, message: Ended) -> None:
        if execution.call is not None:
            raise ProtocolError("expected no end during a call")
        match message.outcome:
            case "ok":
                outcome: Outcome = "ok"
            case "error":
                outcome = "error"
            case "out_of_memory":
                outcome = "out_of_memory"
            case other:
                raise ProtocolError(f"expected an outcome, got {other!r}")
        error = (
            f"{execution.place(message.line, message.column)}: {escape(message.error[:_LONGEST_ERROR])}"
            if outcome != "ok"
            else ""
        )
        del self._running[worker]
        self._finish(execution, outcome, error)
        if outcome == "out_of_memory" or execution.heap_bytes > self._heap_bytes:
            # Not fit for another one, or allowed more than the others.
            worker.kill()
        else:
            self._pool.expect_ready(worker)
        self._dispatch()

    def _time_out(self, worker: WorkerProcess, execution: Execution) -> None:
        self._end(worker, execution, "timeout", f"ended after {execution.timeout_s:g} s, its time limit")

    def _end(self, worker: WorkerProcess, execution: Execution, outcome: Outcome, problem: str) -> None:
        """End an execution together with its worker."""
        del self._running[worker]
        worker.kill()
        self._finish(execution, outcome, f"{execution.place()}: {problem}")
        self._dispatch()

    def _finish(self, execution: Execution, outcome: Outcome, error: str, decision: Decision | None = None) -> None:
        if execution.deadline is not None:
            execution.deadline.cancel()
        finished = execution.finished(outcome, error)
        decision = decision or _DECISIONS.get(outcome, "error")
        started_ns = execution.started_ns or execution.queued_ns
        self._ledger.append(
            Entry(
                uuid=finished.uuid,
                kind=finished.kind,
                recipe=finished.recipe,
                reaction=finished.reaction,
                action="execution",
                arguments=execution.details,
                decision=decision,
                reason=error,
                result=outcome,
                duration_us=((finished.timings.ended_ns or started_ns) - started_ns) // 1000,
            )
        )
        if error:
            self._on_log(execution.line("warn" if decision == "refused" else "error", error))
        if not self._waiting and not self._running and not self._shells.busy:
            self._idle.set()
        if execution.hold is not None:
            execution.hold.release()
        self._on_finished(finished)

    async def _sync_ledger(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SYNC_INTERVAL_S)
            try:
                await loop.run_in_executor(None, self._ledger.sync)
            except OSError as error:
                self._on_log(LogLine("error", f"the ledger cannot be synced: {error}", "", "", "", 0))


class Held:
    """The reactions of one detection, taken in: none runs before `release`, but workers may have the event already."""

    def __init__(self, reactions: Reactions) -> None:
        self._reactions = reactions
        self.scripts: list[Execution] = []
        self.shells: list[Execution] = []
        self.refused: list[Execution] = []
        """Shell reactions that are switched off."""

    def release(self) -> None:
        """Let them run; to be called once. Never blocks."""
        reactions = self._reactions
        for execution in self.refused:
            problem = "shell reactions are switched off (reactions.shell)"
            reactions._finish(execution, "refused", f"{execution.place()}: {problem}")
        for execution in self.scripts:
            execution.released = True
            if execution.worker is not None and reactions._running.get(execution.worker) is execution:
                reactions._go(execution, execution.worker)
        for execution in self.shells:
            reactions._take_in(reactions._shells, execution)


def _walled(callback: Callable[[_T], None]) -> Callable[[_T], None]:
    """Return a callback whose exceptions go to the event loop's handler instead of into the middle of the work here."""

    def call(value: _T) -> None:
        try:
            callback(value)
        except Exception as error:
            context = {"message": "a listener of the reactions failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    return call


def _from_threads(callback: Callable[[_T], None], then: Callable[[], None]) -> Callable[[_T], None]:
    """Return a callback that other threads may call: it runs in the event loop, and they wait for it, within limits.

    `then` is called in the thread.
    """
    loop = asyncio.get_running_loop()

    def call(value: _T) -> None:
        called = threading.Event()

        def work() -> None:
            callback(value)
            called.set()

        loop.call_soon_threadsafe(work)
        called.wait(_LAST_CALLS_S)
        then()

    return call
