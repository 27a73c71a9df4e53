"""The stages of a running agent, each made when all that it needs is there."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from raqib.agent.detector import Detector, wanted_flows
from raqib.agent.environment import Environments
from raqib.agent.excepting import Excepting, directory_of
from raqib.agent.loss_watch import LossWatch
from raqib.agent.network import Network, load, unload
from raqib.agent.outlets import Outlets
from raqib.agent.shadow import Shadows
from raqib.agent.sweeper import Sweeper
from raqib.config.config import Config
from raqib.config.stages import interests_of, map_sizes
from raqib.control.steering import Parts, Steering
from raqib.library.library import Library
from raqib.library.reload import Reloader
from raqib.matcher.matcher import Matcher, Prepared, prepare
from raqib.model.process import Process, ProcessKey
from raqib.recipes.compile import compile_set
from raqib.recipes.spec import RecipeSpec
from raqib.sensors.files import FileSensor
from raqib.sensors.intake import RECORDS_AT_ONCE, take_in
from raqib.sensors.network import NetworkSensor

_RECORDS_BEFORE_RELOAD = 32 * RECORDS_AT_ONCE


class LoadedStages(NamedTuple):
    """What takes long to make."""

    prepared: Prepared
    matcher: Matcher
    sensor: FileSensor
    network: Future[NetworkSensor] | None
    """Of programs that go into the kernel now; None if nobody asks for them yet."""


async def load_stages(
    config: Config, recipes: tuple[RecipeSpec, ...], outlets: Outlets, stack: contextlib.AsyncExitStack
) -> LoadedStages:
    """Start the workers and load what goes into the kernel, side by side: neither needs the other.

    Raises:
        NotPermittedError: this kernel or these privileges do not allow it.
        RaqibError: something else that the message explains.
    """
    compiled = compile_set(recipes)
    flows = wanted_flows(compiled, flow_events=config.network.flow_events)
    # Leaving it waits for what has begun.
    with ThreadPoolExecutor(2) as threads:
        files = threads.submit(FileSensor, map_sizes(config.sensors))
        network = threads.submit(load, config.network) if flows or config.network.has_policy else None
        try:
            await outlets.start_reactions(stack)
            matcher = Matcher(compiled, window_s=config.recipes.times_window_s)
            prepared = prepare(compiled)
            sensor = await asyncio.wrap_future(files)
            stack.callback(sensor.close)
        except BaseException:
            if files.exception() is None:
                files.result().close()
            if network is not None:
                unload(config.network, network)
            raise
    return LoadedStages(prepared, matcher, sensor, network)


class Stages:
    """Belongs to one event loop."""

    def __init__(self, config: Config, loaded: LoadedStages, outlets: Outlets) -> None:
        """Put together what was loaded; nothing is seen before `start`."""
        self._config = config
        self._outlets = outlets
        self._sensor = sensor = loaded.sensor
        processes, publisher = sensor.processes, outlets.publisher
        self._network = Network(
            config.network, processes, agent=sensor.agent, tell=publisher.print, loaded=loaded.network
        )
        outlets.reactions.use_network(self._network)
        self._environments = Environments(processes.loader_variables, publisher.losses.environment_unread)
        self._shadows = Shadows()
        self._excepting = Excepting(
            directory_of(config),
            config.data_dir,
            recipes=lambda: (recipe.info for recipe in self._detector.prepared.compiled.recipes),
            ledger=lambda: outlets.reactions.services.ledger,
            publish=publisher.print,
            use=lambda excepting: self._detector.use_exceptions(excepting),
        )
        self._detector = Detector(
            loaded.prepared,
            loaded.matcher,
            window_s=config.recipes.times_window_s,
            sensor=sensor,
            network=self._network,
            environments=self._environments,
            shadows=self._shadows,
            cover=self._excepting.cover,
            flow_events=config.network.flow_events,
            report=outlets.reporter.report,
            publish=publisher.print,
        )
        watch = LossWatch(sensor, processes.find, publisher.losses)
        self._sweeper = Sweeper(
            config.sensors.cadence_s,
            (sensor, self._network),
            self._shadows.tell_now_and_then,
            publisher.tell_counted,
            self._excepting.tell_due,
            self._network.see_to_changes,
            lambda: watch.check_network(self._network.counters() or {}, self._network.lost()),
            watch.check,
        )
        self._steering = Steering(
            config,
            outlets.reactions,
            outlets.statistics,
            Parts(
                recipes=lambda: len(self._detector.prepared.compiled.recipes),
                sensors=sensor.counters,
                printers=lambda: outlets.printers.counts,
                network=self._network.counters,
                policy=self._network.policy,
                exceptions=self._excepting.report,
            ),
        )

    @property
    def armed(self) -> bool:
        """Whether actions are done, not only written down (`raqib disarm`)."""
        return self._steering.armed

    async def workers_ready(self) -> None:
        """Wait until every worker is warm and has nothing to do."""
        reactions = self._outlets.reactions
        await reactions.wait_ready(len(reactions.worker_pids))

    def process(self, key: ProcessKey) -> Process | None:
        """Return what the kernel knows of a process, also if it has ended."""
        return self._sensor.processes.find(key)

    def start(self, stack: contextlib.AsyncExitStack) -> None:
        """See and detect, until the stack is closed.

        Raises:
            NotPermittedError: this kernel or these privileges do not allow it.
            RaqibError: something else that the message explains.
        """
        loop = asyncio.get_running_loop()
        stack.callback(self._environments.close)
        stack.callback(self._network.close)
        self._sensor.set_interests(interests_of(self._detector.prepared.compiled))
        self._sensor.start(self._detector.observe_file)
        self._network.start(self._detector.observe_flow, self._detector.wanted_flows)
        self._detector.warm_up()
        # What lives as long as the agent need not be looked at by each garbage collection.
        gc.collect()
        gc.freeze()
        loop.add_reader(self._sensor.fileno(), self._consume)
        stack.callback(loop.remove_reader, self._sensor.fileno())
        sweeping = loop.create_task(self._sweeper.run())
        stack.callback(sweeping.cancel)
        stack.callback(self._shadows.tell)

    def excepting(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Have the exceptions in force, as long as the context is open."""
        return self._excepting.watching()

    def steering(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Answer the command line, as long as the context is open. Raises OSError if the socket cannot be made."""
        return self._steering.serving()

    @contextlib.asynccontextmanager
    async def reloading(self, library: Library, recipes: tuple[RecipeSpec, ...]) -> AsyncIterator[None]:
        """Take over what changes in the recipes' files, as long as the context is open; `recipes` are in force."""
        reloader = Reloader(library, recipes, self.replace_recipes)
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
        before = self._detector.prepared
        self._detector.use(prepared)
        try:
            self._sensor.set_interests(interests_of(prepared.compiled))
        except Exception:
            self._detector.use(before)
            raise
        self._network.set_wanted(self._detector.wanted_flows)

    def _consume(self, most: int = RECORDS_AT_ONCE) -> None:
        take_in(self._sensor, most)
