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
from raqib.agent.losses import publish_losses
from raqib.agent.network import TOLD, Network
from raqib.agent.sweeper import Sweeper
from raqib.config.config import Config
from raqib.config.stages import interests_of, map_sizes
from raqib.errors import RaqibError
from raqib.events.ancestry import LiveAncestry
from raqib.model.actions import ALL_ACTIONS
from raqib.model.clock import boottime_ns
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Process
from raqib.recipes.compile import CompiledSet
from raqib.sensors.files import FileSensor, Interests
from raqib.sensors.intake import lost_of, take_in

EVERYTHING = Interests(wanted=ALL_ACTIONS, residual=ALL_ACTIONS, hints=(), interest=lambda name: ALL_ACTIONS)
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
        self._interests = EVERYTHING if everything else interests_of(compiled)
        self._config = config
        self._flows = compiled.flows.wanted | TOLD if everything else compiled.flows.wanted
        self._compiled = compiled
        self._stop = asyncio.Event()

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
            sensor = FileSensor(map_sizes(self._config.sensors))
            stack.callback(sensor.close)
            losses = publish_losses(lambda event: None)
            stack.callback(losses.close)
            environments = Environments(sensor.processes.loader_variables, losses.environment_unread)
            stack.callback(environments.close)
            environments.replace(self._compiled)
            recording = _Recording(sensor, environments, self._write, self._stop.set)
            sensor.set_interests(self._interests)
            sensor.start(recording.observe)
            loop.add_reader(sensor.fileno(), recording.consume)
            stack.callback(loop.remove_reader, sensor.fileno())
            # What is seen, and nothing of what is done.
            watched = replace(self._config.network, enforce=False, policy=None)
            network = Network(watched, sensor.processes, agent=sensor.agent, tell=lambda event: None)
            stack.callback(network.close)
            network.start(recording.observe, self._flows)
            sweeper = Sweeper(self._config.sensors.cadence_s, (sensor, network), network.see_to_changes)
            sweeping = loop.create_task(sweeper.run())
            stack.callback(sweeping.cancel)
            on_ready()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), duration_s)
            recording.drain()
            network.consume(_FLOWS_AT_THE_END)
            lost = lost_of(sensor.counters())
        if recording.failure is not None:
            raise recording.failure
        return Counts(recording.count, lost)


class _Recording:
    """What goes on while it is recorded."""

    def __init__(self, sensor: FileSensor, environments: Environments, write: Write, stop: Callable[[], None]) -> None:
        self._sensor = sensor
        self._environments = environments
        self._write = write
        self._stop = stop
        self._latest_ns = 0
        self.count = 0
        self.failure: RaqibError | None = None

    def observe(self, seen: FileObservation | FlowObservation) -> None:
        seen = self._environments.complete_observation(seen)
        ancestors = LiveAncestry(self._environments.finder(self._sensor.processes.find)).ancestors(seen.process)
        if self.failure is not None:
            return
        try:
            self._write(seen, ancestors)
        except RaqibError as error:
            self.failure = error
            self._stop()
        self.count += 1
        self._latest_ns = max(self._latest_ns, seen.timestamp_ns)

    def drain(self) -> None:
        """Take in what happened until now, and leave what goes on happening."""
        now_ns = boottime_ns()
        while self._latest_ns < now_ns and self.failure is None and self.consume():
            pass
        # What had no room in the ring buffer is waiting still.
        self._sensor.sweep()

    def consume(self) -> int:
        return take_in(self._sensor)
