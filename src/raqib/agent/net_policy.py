"""The network policy of an agent: its file, watched, and the events of what it denies."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import structlog

from raqib.config.config import NetworkConfig
from raqib.dns.heard import Heard
from raqib.errors import RaqibError, UsageError
from raqib.events.ancestry import LiveAncestry
from raqib.events.build import drop_event
from raqib.model.event import Event
from raqib.model.flow import NO_FLOW_ACTIONS, Endpoint, FlowAction, FlowObservation
from raqib.model.process import Process, ProcessKey
from raqib.netpolicy.blocks import Blocks
from raqib.netpolicy.drops import Drop
from raqib.netpolicy.host import Host, HostWatch
from raqib.netpolicy.pins import Pins
from raqib.netpolicy.policy import NetworkPolicy
from raqib.netpolicy.spec import PolicySpec, load_policy
from raqib.sensors.network import NetworkSensor

_REFRESH_S = 10.0
_HOST_S = 0.5
"""A reaction may ask for hundreds of blocks at once."""
_RECORDS = ("NET_RECORD_DROP_IP", "NET_RECORD_DROP_DOMAIN")


def load_sensor(sizes: dict[str, int], pins: Pins | None) -> NetworkSensor:
    """Load the programs; with what is pinned, if it can be used.

    Raises:
        NotPermittedError: this kernel or these privileges do not allow it.
        RaqibError: something else that the message explains.
    """
    if pins is None:
        return NetworkSensor(sizes)
    pins.make()
    try:
        return NetworkSensor(sizes, pins=pins.maps())
    except RaqibError as error:
        if not pins.exist:
            raise
        structlog.get_logger().warning("what is pinned cannot be used and goes, with its blocks", problem=str(error))
        pins.remove()
        pins.make()
        return NetworkSensor(sizes, pins=pins.maps())


class PolicyKeeper:
    """Keeps the policy in force, and tells what it denies. Belongs to one event loop."""

    def __init__(
        self,
        config: NetworkConfig,
        sensor: NetworkSensor,
        *,
        process: Callable[[ProcessKey], Process | None],
        heard: Heard,
        tell: Callable[[Event], object],
    ) -> None:
        """Take over what is pinned. The file is not read before `load`."""
        self._config = config
        self._process = process
        self._heard = heard
        self._tell = tell
        self._path = config.policy
        self._mark: tuple[int, ...] | None = None
        self._refreshed = 0.0
        self._watch = HostWatch(config.resolvers)
        self._host, self._host_read = Host(), -_HOST_S
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._busy = threading.Lock()
        self._closed = False
        self._log = structlog.get_logger()
        try:
            self.policy = NetworkPolicy(
                sensor.bpf,
                self.host,
                protected=config.protected_cidrs,
                shared=Pins(config.pin_dir).directory,
                resolved=heard.sure.addresses_below,
            )
        except ValueError as error:
            raise UsageError(f"network.protected_cidrs: {error}") from error
        for kind in _RECORDS:
            sensor.on(kind, self._dropped)
        sensor.on("NET_RECORD_LEARNED", self._learned)

    @property
    def blocks(self) -> Blocks:
        """The runtime blocks."""
        return self.policy.blocks

    def host(self) -> Host:
        """Return what this host cannot do without, as it was at most a moment ago."""
        now = time.monotonic()
        if now - self._host_read >= _HOST_S:
            self._host, self._host_read = self._watch.read(), now
        return self._host

    def load(self) -> None:
        """Put the file's policy in force for the first time.

        Raises:
            UsageError: there is an error in it, or it would cut this host off.
        """
        if self._path is None:
            self.policy.use(PolicySpec())
            return
        self._mark = _mark_of(self._path)
        self.policy.use(_read(self._path))

    def check(self) -> None:
        """Begin to put a changed file in force, and to take away what has ended. Called every now and then."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._check())

    async def _check(self) -> None:
        try:
            await asyncio.to_thread(self._check_in_thread)
        except (OSError, RaqibError) as error:
            self._log.error("network policy: the last good one stays in force", problem=str(error))

    def _check_in_thread(self) -> None:
        with self._busy:
            if self._closed:
                return
            mark = None if self._path is None else _mark_of(self._path)
            if self._path is not None and mark is not None and mark != self._mark:
                self._mark = mark
                policy = _read(self._path)
                self.policy.use(policy)
                self._log.info("network policy reloaded", cidrs=len(policy.cidrs), domains=len(policy.domains))
            self.policy.follow()
            if time.monotonic() - self._refreshed >= _REFRESH_S:
                self._refreshed = time.monotonic()
                self.policy.refresh()
                late = list(self.policy.unreported())
                self._loop.call_soon_threadsafe(self._tell_all, late)

    def close(self) -> None:
        """Check no more; what is in force stays so."""
        with self._busy:
            self._closed = True
            self.policy.close()

    def _learned(self, raw: Any) -> None:
        self.policy.reaper.request()

    def _dropped(self, raw: Any) -> None:
        self._tell_of(self.policy.decode(raw))

    def _tell_all(self, drops: Iterable[Drop]) -> None:
        for drop in drops:
            self._tell_of(drop)

    def _tell_of(self, drop: Drop) -> None:
        seen = self._flow(drop)
        shared: tuple[str, ...] = ()
        if drop.source in ("domain", "domain_block"):
            known = self._heard.sure.names(drop.remote, seen.process.namespaces.net_ns)
            shared = tuple(name for name in known if not self.policy.denies(name))
        self._tell(
            drop_event(
                drop.kind,
                seen,
                LiveAncestry(self._process).ancestors(seen.process),
                rule=drop.rule,
                count=drop.count,
                enforced=drop.enforced,
                names=(drop.name,) if drop.name is not None else seen.remote.names,
                shared_with=shared if drop.kind == "dropip" else (),
            )
        )

    def _flow(self, drop: Drop) -> FlowObservation:
        key = drop.process or ProcessKey(0, 0)
        process = self._process(key) or Process(key=key)
        kind, code = drop.icmp or (None, None)
        named = self._heard.names(drop.remote, process.namespaces.net_ns, process)
        return FlowObservation(
            process=process,
            protocol=drop.protocol,
            ip_version=drop.ip_version,
            local=Endpoint(drop.local, drop.local_port),
            remote=Endpoint(drop.remote, drop.remote_port, *named),
            actions=FlowAction.EGRESS if drop.egress else FlowAction.INGRESS,
            new=NO_FLOW_ACTIONS,
            timestamp_ns=drop.timestamp_ns,
            icmp_type=kind,
            icmp_code=code,
            lost=drop.lost,
        )


def _read(path: Path) -> PolicySpec:
    policy, diagnostics = load_policy(path, alone=False)
    if policy is None:
        raise UsageError("; ".join(str(fault) for fault in diagnostics if fault.severity == "error"))
    return policy


def _mark_of(path: Path) -> tuple[int, ...] | None:
    """Return what changes when the file does; None while there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  # called four times a second
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
