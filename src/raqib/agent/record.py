"""Hands on what the sensors deliver, and does nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec.structs import replace

from raqib.agent.environment import Environments
from raqib.agent.hangup import Hangup
from raqib.agent.network import TOLD, Network
from raqib.agent.sweeper import Cadence
from raqib.config.config import Config
from raqib.config.stages import map_sizes, policy_of
from raqib.errors import RaqibError
from raqib.events.ancestry import Lineage
from raqib.model.actions import ALL_ACTIONS
from raqib.model.clock import boottime_ns
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Process
from raqib.recipes.compile import CompiledSet
from raqib.sensors.files import FileSensor, Policy
from raqib.sensors.intake import lost_of, take_in

EVERYTHING = Policy(wanted=ALL_ACTIONS, residual=ALL_ACTIONS, hints=(), interest=lambda name: ALL_ACTIONS)
"""Whatever any process does to any file."""

_FLOWS_AT_THE_END = 20_000

Write = Callable[[FileObservation | FlowObservation, Iterable[Process]], None]
"""Gets an observation and the process's ancestors, nearest first."""


class Counts(NamedTuple):
    """What came of it."""

    observations: int
    lost: int
    """Accesses of which the kernel side could not keep a record."""


class Recorder:
    """Belongs to one event loop."""

    def __init__(self, write: Write, compiled: CompiledSet, config: Config, *, everything: bool) -> None:
        """Hand what the recipes may need, or `everything`, to `write`, which may raise RaqibError: that ends it."""
        self._write = write
        self._policy = EVERYTHING if everything else policy_of(compiled)
        self._config = config
        self._flows = compiled.flows.wanted | TOLD if everything else compiled.flows.wanted
        self._environments = Environments(lambda process: self._sensor.processes.loader_variables(process))
        self._environments.replace(compiled)
        self._stop = asyncio.Event()
        self._count = 0
        self._latest_ns = 0
        self._failure: RaqibError | None = None

    async def run(self, duration_s: float | None, on_ready: Callable[[], None]) -> Counts:
        """Record until a signal, the end of the time or of the terminal that it was started on.

        Raises:
            NotPermittedError: this kernel or these privileges do not allow it.
            RaqibError: of `write`.
        """
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            stack.enter_context(Hangup(self._stop.set))
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._stop.set)
                stack.callback(loop.remove_signal_handler, number)
            self._sensor = FileSensor(self._observe, map_sizes(self._config.sensors))
            stack.callback(self._sensor.close)
            self._sensor.set_policy(self._policy)
            self._sensor.start()
            loop.add_reader(self._sensor.fileno(), self._consume)
            stack.callback(loop.remove_reader, self._sensor.fileno())
            # What is seen, and nothing of what is done.
            watched = replace(self._config.network, enforce=False, policy=None)
            self._network = Network(
                watched,
                self._sensor.processes,
                agent=self._sensor.agent,
                observe=self._observe,
                tell=lambda event: None,
            )
            stack.callback(self._network.close)
            self._network.start(self._flows)
            rhythm = Cadence(self._config.sensors.cadence_s, (self._sensor, self._network), self._network.look_around)
            sweeping = loop.create_task(rhythm.run())
            stack.callback(sweeping.cancel)
            on_ready()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), duration_s)
            self._drain()
            self._network.consume(_FLOWS_AT_THE_END)
            lost = lost_of(self._sensor.counters())
        if self._failure is not None:
            raise self._failure
        return Counts(self._count, lost)

    def _observe(self, seen: FileObservation | FlowObservation) -> None:
        seen = self._environments.of_observation(seen)
        ancestors = Lineage(self._environments.finder(self._sensor.processes.find)).ancestors(seen.process)
        if self._failure is not None:
            return
        try:
            self._write(seen, ancestors)
        except RaqibError as error:
            self._failure = error
            self._stop.set()
        self._count += 1
        self._latest_ns = max(self._latest_ns, seen.timestamp_ns)

    def _drain(self) -> None:
        """Take in what happened until now, and leave what goes on happening."""
        now_ns = boottime_ns()
        while self._latest_ns < now_ns and self._failure is None and self._consume():
            pass
        # What had no room in the ring buffer is waiting still.
        self._sensor.sweep()

    def _consume(self) -> int:
        return take_in(self._sensor)
