"""The agent: sensors, matcher, printers and reactions, wired."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from raqib.agent.environment import Environments
from raqib.agent.hangup import Hangup
from raqib.agent.loss_watch import LossWatch
from raqib.agent.network import TOLD, Network, begins_or_ends, load, unload
from raqib.agent.reporting import Kept, Reporter, Times
from raqib.agent.scheduling import take_short_slices, take_short_turns
from raqib.agent.shadow import Shadows
from raqib.agent.sweeper import Cadence
from raqib.config.config import Config
from raqib.config.stages import make_printers, map_sizes, places_of, policy_of
from raqib.control.log import wait_written, write_line
from raqib.control.oversight import Oversight, Parts
from raqib.errors import RaqibError
from raqib.events.ancestry import Lineage
from raqib.events.build import detect, detect_within, flow_event
from raqib.events.notice import notice_event
from raqib.events.surroundings import Surroundings
from raqib.library.library import Library
from raqib.library.reload import Reloader
from raqib.matcher.flows import FlowMatcher
from raqib.matcher.matcher import Match, Matcher, Prepared, prepare
from raqib.model.actions import FileAction
from raqib.model.clock import boottime_ns
from raqib.model.detection import Detection
from raqib.model.event import Event
from raqib.model.execution import Finished, LogLine
from raqib.model.flow import NO_FLOW_ACTIONS, FlowAction, FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Process, ProcessKey
from raqib.model.recipe import RecipeInfo
from raqib.printers import Printer, Printers
from raqib.reactions import Reactions
from raqib.recipes.compile import CompiledSet, compile_set
from raqib.recipes.spec import RecipeSpec
from raqib.sensors.files import FileSensor
from raqib.sensors.intake import RECORDS_AT_ONCE, take_in

_DRAIN_S = 3.0
_RECORDS_BEFORE_RELOAD = 32 * RECORDS_AT_ONCE


class Agent:
    """Runs until it is told to stop. Belongs to one event loop."""

    def __init__(
        self,
        config: Config,
        recipes: Iterable[RecipeSpec],
        *,
        library: Library | None = None,
        config_file: Path | None = None,
        printers: Iterable[Printer] | None = None,
        on_log: Callable[[LogLine], None] = write_line,
        on_finished: Callable[[Finished], None] = lambda finished: None,
        on_detection: Callable[[Detection, Times], None] = lambda detection, times: None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; nothing runs yet.

        `library` is where the recipes came from, which is then watched; `config_file` is where the configuration came
        from, which no reaction writes; `printers` replaces those of the configuration.
        """
        self._config = config
        self._config_file = config_file
        self._recipes = tuple(recipes)
        self._compiled: CompiledSet = compile_set(self._recipes)
        self._library = library
        self._environments = Environments(lambda process: self._sensor.processes.loader_variables(process))
        self._shadows = Shadows()
        self._printer_list = list(printers) if printers is not None else make_printers(config.printers)
        self._on_log = on_log
        self._on_finished_hook = on_finished
        self._on_detection = on_detection
        self._on_ready = on_ready
        self._stop = asyncio.Event()
        self._kept = Kept()
        self._oversight = Oversight(config, self._print)
        self._log = structlog.get_logger()

    @property
    def armed(self) -> bool:
        """Whether actions are done, not only written down (`raqib disarm`)."""
        return self._oversight.armed

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The process ids of the workers that run reactions."""
        return self._reactions.worker_pids

    async def workers_ready(self) -> None:
        """Wait until every worker is warm and has nothing to do."""
        await self._reactions.wait_ready(len(self._reactions.worker_pids))

    def process(self, key: ProcessKey) -> Process | None:
        """Return what the kernel knows of a process, also if it has ended."""
        return self._sensor.processes.find(key)

    def stop(self) -> None:
        """Ask the agent to end in order."""
        self._stop.set()

    async def run(self, duration_s: float | None = None) -> None:
        """Start everything in order, run until `stop`, a signal or the end of `duration_s`, stop in reverse order.

        Raises:
            NotPermittedError: this kernel or these privileges do not allow it.
            RaqibError: something else that the message explains.
        """
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:
            self._lock(stack)
            take_short_slices()
            take_short_turns(stack)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.stop)
                stack.callback(loop.remove_signal_handler, number)
            stack.enter_context(Hangup(self.stop))
            settings = self._config.printers
            self._printers = Printers(
                self._printer_list, max_waiting_bytes=settings.max_waiting_bytes, full=settings.full
            )
            self._printers.start()
            stack.callback(self._printers.close)
            self._reporter = Reporter(
                self._printers,
                lambda: self._reactions,
                self._oversight.statistics,
                self._on_detection,
                self._config.in_flight.max_bytes,
            )
            stack.callback(self._reporter.close)
            stack.callback(self._oversight.tell_head)
            self._reactions = Reactions(
                self._config.reactions,
                places_of(self._config, self._config_file),
                emergency=self._config.emergency,
                on_log=self._on_log,
                log_written=wait_written,
                on_finished=self._finished,
                on_breaker=self._oversight.breaker_opened,
                on_notify=lambda notice: self._print(notice_event(notice)),
                network=lambda: self._network.access,
            )
            await self._load(stack)
            self._use(self._prepared)
            self._sensor.set_policy(policy_of(self._compiled))
            self._sensor.start()
            self._network.start(self._wanted_flows)
            self._warm_up()
            loop.add_reader(self._sensor.fileno(), self._consume)
            stack.callback(loop.remove_reader, self._sensor.fileno())
            watch = LossWatch(self._sensor, self._sensor.processes.find, self._print)
            stack.callback(watch.losses.close)
            rhythm = Cadence(
                self._config.sensors.cadence_s,
                (self._sensor, self._network),
                self._shadows.tell_now_and_then,
                self._reporter.look,
                self._network.look_around,
                lambda: watch.network(self._network.counters() or {}, self._network.lost()),
                watch.look,
            )
            cadence = loop.create_task(rhythm.run())
            stack.callback(cadence.cancel)
            stack.callback(self._shadows.tell)
            if self._library is not None:
                await stack.enter_async_context(self._reloading(self._library))
            parts = Parts(
                recipes=lambda: len(self._compiled.recipes),
                sensors=self._sensor.counters,
                printers=lambda: self._printers.counts,
                network=self._network.counters,
                policy=self._network.policy,
            )
            await stack.enter_async_context(self._oversight.watching(self._reactions, parts))
            self._on_ready()
            notify_systemd("READY=1")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), duration_s)
            notify_systemd("STOPPING=1")

    async def _load(self, stack: contextlib.AsyncExitStack) -> None:
        """Start the workers and load what goes into the kernel, side by side: neither needs the other."""
        window_s = self._config.recipes.times_window_s
        self._flow_matcher = FlowMatcher(self._compiled, window_s=window_s)
        wants_network = bool(self._wanted_flows) or self._config.network.has_policy
        # Leaving it waits for what has begun.
        with ThreadPoolExecutor(2) as threads:
            files = threads.submit(FileSensor, self._observe, map_sizes(self._config.sensors))
            network = threads.submit(load, self._config.network) if wants_network else None
            try:
                await self._reactions.start()
                stack.push_async_callback(self._reactions.close)
                stack.push_async_callback(self._drain)
                self._matcher = Matcher(self._compiled, window_s=window_s)
                self._prepared = prepare(self._compiled)
                self._sensor = await asyncio.wrap_future(files)
                stack.callback(self._sensor.close)
            except BaseException:
                if files.exception() is None:
                    files.result().close()
                if network is not None:
                    unload(self._config.network, network)
                raise
            self._network = Network(
                self._config.network,
                self._sensor.processes,
                agent=self._sensor.agent,
                observe=self._observe_flow,
                tell=self._print,
                loaded=network,
            )
            stack.callback(self._network.close)

    @property
    def _wanted_flows(self) -> FlowAction:
        told = TOLD if self._config.network.flow_events else NO_FLOW_ACTIONS
        return self._flow_matcher.wanted | told

    @contextlib.asynccontextmanager
    async def _reloading(self, library: Library) -> AsyncIterator[None]:
        """Take over what changes in the recipes' files."""
        reloader = Reloader(library, self._recipes, self.replace_recipes)
        task = asyncio.get_running_loop().create_task(reloader.run())
        try:
            yield
        finally:
            reloader.stop()
            await task

    def replace_recipes(self, prepared: Prepared) -> None:
        """Put another set of recipes in force, as a whole. What was counted and reported stays."""
        # What has happened until now is judged by the recipes of then; only a flood is longer than that.
        self._consume(_RECORDS_BEFORE_RELOAD)
        self._network.consume(_RECORDS_BEFORE_RELOAD)
        before = self._prepared
        self._use(prepared)
        try:
            self._sensor.set_policy(policy_of(prepared.compiled))
        except Exception:
            self._use(before)
            raise
        self._network.start(self._wanted_flows)

    def _use(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._matcher.replace(prepared)
        self._flow_matcher.replace(prepared)
        self._environments.replace(prepared.compiled)

    def _warm_up(self) -> None:
        """Go the way of a detection once, to nowhere: the first real one should not be the slowest."""
        find = self._sensor.processes.find
        own = find(self._sensor.agent)
        if own is not None:
            seen = FileObservation(process=own, path=b"/", actions=FileAction.OPEN, new=FileAction.OPEN, timestamp_ns=0)
            recipe = RecipeInfo(kind="agent", name="warm_up", mechanism="file_access", importance="none")
            detect(recipe, seen, Lineage(find).ancestors(own), self._sensor.accessed(own.key), "")
        # What lives as long as the agent need not be looked at by each garbage collection.
        gc.collect()
        gc.freeze()

    def _lock(self, stack: contextlib.AsyncExitStack) -> None:
        """Two agents on one data directory would break the chain of the ledger."""
        directory = self._config.data_dir
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RaqibError(f"expected a data directory that can be written, found: {error}") from error
        stack.callback(os.close, fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RaqibError(
                f"expected no other agent on {directory}, found one that runs; stop it or give another --data-dir"
            ) from error

    def _consume(self, most: int = RECORDS_AT_ONCE) -> None:
        take_in(self._sensor, most)

    def _observe(self, seen: FileObservation) -> None:
        seen = self._environments.of_observation(seen)
        lineage = self._lineage()
        self._matched(seen, lineage, self._matcher.match(seen, lineage))

    def _observe_flow(self, seen: FlowObservation) -> None:
        seen = self._environments.of_observation(seen)
        lineage = self._lineage()
        if self._config.network.flow_events and begins_or_ends(seen):
            self._print(flow_event(seen, lineage.ancestors(seen.process)))
        self._matched(seen, lineage, self._flow_matcher.match(seen, lineage))

    def _lineage(self) -> Lineage:
        return Lineage(self._environments.finder(self._sensor.processes.find))

    def _matched(self, seen: FileObservation | FlowObservation, lineage: Lineage, matches: Iterable[Match]) -> None:
        around: Surroundings | None = None
        for match in matches:
            recipe = match.recipe.info
            if recipe.mode == "shadow":
                self._shadows.count(recipe)
                continue
            if around is None:
                around = self._kept.get(
                    seen.process, seen.timestamp_ns, lambda: self._surroundings(seen.process, lineage)
                )
            self._reporter.report(detect_within(recipe, seen, around, match.note, by_hearsay=match.by_hearsay))

    def _surroundings(self, process: Process, lineage: Lineage) -> Surroundings:
        described_ns = boottime_ns()
        key = process.key
        return Surroundings(
            process,
            lineage.ancestors(process),
            self._sensor.accessed(key),
            self._network.flows(key),
            described_ns=described_ns,
        )

    def _finished(self, finished: Finished) -> None:
        self._oversight.statistics.finished(finished)
        self._reporter.finished(finished)
        self._on_finished_hook(finished)

    def _print(self, event: Event) -> None:
        self._reporter.print(event)

    async def _drain(self) -> None:
        """Let what has been detected be printed and reacted to, for a limited time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self._reporter.drain()


def notify_systemd(state: str) -> None:
    """Tell the service manager, if one asked to be told (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender, contextlib.suppress(OSError):
        sender.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
