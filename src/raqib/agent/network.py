"""Flows: seen and named. The programs are loaded when something asks for them, and not before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import structlog

from raqib.actions.network_access import NetworkAccess
from raqib.agent.net_blocks import BlocksOfHelpers
from raqib.agent.net_policy import PolicyKeeper, load_sensor
from raqib.config.config import NetworkConfig
from raqib.config.stages import network_map_sizes
from raqib.dns.heard import Heard, HeardAnswer
from raqib.dns.resolver_files import ResolverFiles
from raqib.errors import NotPermittedError, RaqibError
from raqib.host.resolv_conf import read_resolvers
from raqib.kernel.network import CgroupAttachment, find_cgroup2
from raqib.model.detection import Detection
from raqib.model.event import Event
from raqib.model.flow import Endpoint, FlowAction, FlowObservation
from raqib.model.process import ProcessKey
from raqib.netpolicy.host import HostWatch
from raqib.netpolicy.pins import Pins
from raqib.netpolicy.tables import Tables
from raqib.sensors.accounts import Lost
from raqib.sensors.answers import DnsAnswer, dns_answer
from raqib.sensors.flows import FlowSensor
from raqib.sensors.intake import RECORDS_AT_ONCE, take_in
from raqib.sensors.network import NetworkSensor
from raqib.sensors.processes import ProcessTable

_FIND_RESOLVERS_S = 10.0
"""How often this host is asked which resolvers it is set to."""
_COUNT_S = 60.0
TOLD = FlowAction.CREATED | FlowAction.STARTED | FlowAction.ENDED
"""What makes an event of its own of a flow, if they are wanted."""


def _ignore(seen: FlowObservation) -> None:
    pass


class Network:
    """What an agent has of the network. Belongs to one event loop."""

    def __init__(
        self,
        config: NetworkConfig,
        processes: ProcessTable,
        *,
        agent: ProcessKey,
        tell: Callable[[Event], object],
        loaded: Future[NetworkSensor] | None = None,
    ) -> None:
        """Prepare; nothing is loaded before `start`.

        `agent` is the daemon itself, of whose flows nothing is told; `tell` gets events of what a policy denies;
        `loaded` is what `load` makes or has made in a thread, if it was known that it would be wanted.
        """
        self._config = config
        self._processes = processes
        self._agent = agent
        self._observe: Callable[[FlowObservation], None] = _ignore
        self._tell = tell
        self._loaded = loaded
        self._heard: Heard | None = None
        self._host = HostWatch(config.resolvers)
        self._stack = ExitStack()
        self._sensor: NetworkSensor | None = None
        self._flows: FlowSensor | None = None
        self._keeper: PolicyKeeper | None = None
        self._tables: Tables | None = None
        self._found_resolvers_at = 0.0
        self._forgotten = 0
        self._counted_at = 0.0
        self._unheard = (0, 0)
        self._unheard_at = -_COUNT_S
        self._log = structlog.get_logger()

    def start(self, observe: Callable[[FlowObservation], None], wanted: FlowAction) -> None:
        """Hand flows that gain a wanted action to `observe` from now on. Raises as `set_wanted`."""
        self._observe = observe
        self.set_wanted(wanted)

    def set_wanted(self, wanted: FlowAction) -> None:
        """Load and attach what is needed, if anything is; from now on flows are observed that gain a wanted action.

        What recipes cannot have is logged: files are still watched. A policy that cannot be enforced is an error.

        Raises:
            UsageError: the policy is wrong, or would cut this host off.
            RaqibError: a policy is wanted and this kernel or these privileges do not allow it.
        """
        if self._flows is None and (wanted or self._config.has_policy):
            try:
                self._load(wanted)
            except (RaqibError, OSError) as error:
                self.close()
                if self._config.has_policy:
                    Pins(self._config.pin_dir).remove_unattached()
                    if isinstance(error, OSError):
                        raise RaqibError(f"the network policy cannot be enforced: {error}") from error
                    raise
                self._log.error("flows cannot be seen, recipes about them match nothing", problem=str(error))
        elif self._flows is not None:
            self._flows.set_wanted(wanted)

    def _take_others_away(self, pins: Pins) -> None:
        """What another version pinned would be enforced beside our policy for ever."""
        for old in pins.others():
            self._log.warning("the policy of another version of raqib is taken away, with its blocks", pins=str(old))
            pins.remove(old)

    def _load(self, wanted: FlowAction) -> None:
        cgroup = self._config.cgroup or find_cgroup2()
        if cgroup is None:
            raise NotPermittedError("expected cgroup v2, found none; mount it: mount -t cgroup2 none /sys/fs/cgroup")
        loop = asyncio.get_running_loop()
        heard = self._heard = Heard(ResolverFiles(lambda done: call_if_open(loop, done), read=read_resolvers))
        pins = _pins(self._config)
        loaded, self._loaded = self._loaded, None
        sensor = load(self._config) if loaded is None else loaded.result()
        self._stack.callback(sensor.close)
        if pins is not None:
            self._keeper = PolicyKeeper(
                self._config, sensor, process=self._processes.find, heard=heard, tell=self._tell
            )
            self._stack.callback(self._keeper.close)
            self._keeper.load()
        tables = self._tables = Tables(sensor.bpf)
        if pins is None:
            tables.activate()
            self._find_resolvers(tables)
        tables.want_answers(True)
        # What is pinned goes on without us, and then nobody reads them.
        self._stack.callback(tables.want_answers, False)
        flows = FlowSensor(sensor, self._observe, self._processes.find, names=heard.names)
        self._stack.callback(flows.close)
        flows.set_agent(self._agent.pid)
        flows.set_cgroup(cgroup)
        sensor.on("NET_RECORD_DNS", lambda raw: self._learn(dns_answer(raw)))
        flows.set_wanted(wanted)
        sensor.start(cgroup, pins.attach if pins is not None else CgroupAttachment)
        if pins is not None:
            self._take_others_away(pins)
        flows.take_existing()
        descriptor = sensor.fileno()
        loop.add_reader(descriptor, self.consume)
        self._stack.callback(loop.remove_reader, descriptor)
        self._sensor, self._flows = sensor, flows
        self._log.info("flows are seen", cgroup=os.fspath(cgroup))

    def consume(self, most: int = RECORDS_AT_ONCE) -> None:
        """Take in what waits."""
        if self._sensor is not None:
            take_in(self._sensor, most)

    @property
    def sweeping(self) -> bool:
        """Whether the last sweep ended before it had seen everything."""
        return self._flows is not None and self._flows.sweeping

    def sweep(self, most: int | None = None) -> int:
        """Take in what did not fit into the ring buffer, no more than `most`; return how much that was."""
        return 0 if self._flows is None else self._flows.sweep(most)

    def see_to_changes(self) -> None:
        """See to what changes with time."""
        if self._sensor is None:
            return
        if self._keeper is not None:
            self._keeper.check()
        elif self._tables is not None and time.monotonic() - self._found_resolvers_at >= _FIND_RESOLVERS_S:
            self._find_resolvers(self._tables)
        counters = self._sensor.counters()
        self._tell_forgotten(counters["flows_made"])
        self._tell_unheard(counters["dns_unheard"])

    def _tell_forgotten(self, counted: int) -> None:
        """Say, once a minute at most, that there were more flows than the kernel remembers."""
        if counted - self._forgotten <= self._config.flows // 2 or time.monotonic() - self._counted_at < _COUNT_S:
            return
        self._counted_at = time.monotonic()
        forgotten = 0 if self._flows is None else self._flows.forgotten()
        if forgotten > self._forgotten:
            self._log.warning("flows were forgotten in the kernel: network.flows is too small", flows=forgotten)
            self._forgotten = forgotten

    def _tell_unheard(self, unheard: int) -> None:
        """Say, once a minute at most, that somebody asks too much to be heard, or lets us wait for his resolv.conf."""
        unread = 0 if self._heard is None else self._heard.unread
        if (unheard, unread) == self._unheard or time.monotonic() - self._unheard_at < _COUNT_S:
            return
        if unheard > self._unheard[0]:
            self._log.warning("too much was asked of unlisted servers to know all names from there", answers=unheard)
        if unread > self._unheard[1]:
            self._log.warning("resolv.conf of some namespaces was not read: others take too long", times=unread)
        self._unheard, self._unheard_at = (unheard, unread), time.monotonic()

    def _find_resolvers(self, tables: Tables) -> None:
        self._found_resolvers_at = time.monotonic()
        tables.set_resolvers(self._host.read().resolvers)

    @property
    def access(self) -> NetworkAccess | None:
        """What helpers may do; None where no network policy is enabled."""
        keeper = self._keeper
        return None if keeper is None else NetworkAccess(BlocksOfHelpers(keeper.blocks), self._remotes_of)

    def _remotes_of(self, detection: Detection) -> list[Endpoint]:
        found = list(self.remotes(detection.process.key)) if detection.ancestry else []
        flow = detection.event.flow
        remote = None if flow is None else flow.remote
        # The event's own peer, should the kernel have forgotten it.
        if remote is not None and remote.address and remote.address not in {endpoint.address for endpoint in found}:
            names = tuple(remote.names or ())
            found.append(Endpoint(remote.address, 0, names, names if remote.names_from else (), remote.names_from))
        return found

    def flows(self, key: ProcessKey) -> list[FlowObservation]:
        """Return the flows of a process, the newest first, as far as the kernel remembers."""
        return [] if self._flows is None else self._flows.flows(key)

    def remotes(self, key: ProcessKey) -> tuple[Endpoint, ...]:
        """Return every remote node in the flows of a process until now, with its names."""
        return () if self._flows is None else self._flows.remotes(key)

    def counters(self) -> dict[str, int] | None:
        """Return what the kernel side counted; None if nothing of the network is seen."""
        return None if self._sensor is None else self._sensor.counters()

    def lost(self) -> list[Lost]:
        """Return what users lost since this was last asked."""
        return [] if self._sensor is None else self._sensor.lost()

    def policy(self) -> dict[str, Any] | None:
        """Return what is in force of the policy, and its file; None without one. In whichever thread: it may take long.

        Raises RaqibError.
        """
        keeper = self._keeper
        if keeper is None:
            return None
        return {"file": None if self._config.policy is None else str(self._config.policy), **keeper.policy.summary()}

    def close(self) -> None:
        """Detach everything."""
        self._stack.close()
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            unload(self._config, loaded)
        self._sensor = self._flows = self._keeper = self._tables = None

    def _learn(self, answer: DnsAnswer) -> None:
        heard = self._heard
        if heard is None:
            return
        asker = self._processes.find(answer.asker)
        if answer.from_resolver:
            heard.learn_sure(answer.message, asker, answer.asker, answer.net_ns, answer.timestamp_ns)
        elif asker is not None:
            told = HeardAnswer(answer.message, asker, answer.server, answer.net_ns, answer.timestamp_ns)
            heard.learn(told, listed=answer.from_listed)


def call_if_open(loop: asyncio.AbstractEventLoop, done: Callable[[], None]) -> None:
    """Have something done in a loop's thread, unless the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(done)


def load(config: NetworkConfig) -> NetworkSensor:
    """Load the programs, in whichever thread; see `load_sensor`."""
    return load_sensor(network_map_sizes(config), _pins(config))


def unload(config: NetworkConfig, loaded: Future[NetworkSensor]) -> None:
    """Take away what `load` made, or began to make, and nobody has taken over."""
    if loaded.exception() is None:
        loaded.result().close()
    if config.has_policy:
        Pins(config.pin_dir).remove_unattached()


def _pins(config: NetworkConfig) -> Pins | None:
    return Pins(config.pin_dir) if config.has_policy else None


def begins_or_ends(seen: FlowObservation) -> bool:
    """Tell whether there is an event in it: one that was there before begins for us when it is found."""
    begin = FlowAction.CREATED if seen.actions & FlowAction.CREATED else FlowAction.STARTED
    return bool(seen.new & (begin | FlowAction.ENDED))
