"""The network policy on one cgroup, and what it tells."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

from raqib.dns.names import NameCache
from raqib.kernel.layout import ffi
from raqib.model.process import ProcessKey
from raqib.netpolicy.blocks import Blocks
from raqib.netpolicy.drops import Drop
from raqib.netpolicy.host import Host
from raqib.netpolicy.policy import NetworkPolicy
from raqib.netpolicy.spec import PolicySpec, policy_from
from raqib.sensors.network import NetworkSensor
from tests.kernel.net.lab import Actor

WAIT_S = 60.0


class Owner(TypedDict):
    """Who blocks something, and why."""

    owner: str
    reason: str


OWNER: Owner = {"owner": "recipe", "reason": "a test"}


def spec(text: str) -> PolicySpec:
    """A policy from lines of YAML, indented below its key."""
    lines = "".join(f"  {line}\n" for line in text.strip().splitlines())
    found, diagnostics = policy_from(f"network_policy:\n{lines}", "test")
    assert found is not None, diagnostics
    return found


class Enforcer:
    def __init__(self, cgroup: Path, host: Host, sizes: dict[str, int] | None = None, **options: Any) -> None:
        self.sensor = NetworkSensor({"net_records": 1 << 16, **(sizes or {})})
        self.drops: list[Drop] = []
        self.host = host
        self.policy = NetworkPolicy(self.sensor.bpf, lambda: self.host, **options)
        for kind in ("NET_RECORD_DROP_IP", "NET_RECORD_DROP_DOMAIN"):
            self.sensor.on(kind, self._dropped)
        self.sensor.on("NET_RECORD_LEARNED", self._learned)
        self.sensor.start(cgroup)

    def _dropped(self, raw: Any) -> None:
        self.drops.append(self.policy.decode(raw))

    def _learned(self, raw: Any) -> None:
        self.policy.reaper.request()

    def learn(self, names: NameCache) -> None:
        """Have a cache hear of all answers."""
        self.names = names
        self.sensor.on("NET_RECORD_DNS", self._answered)
        self.policy.tables.want_answers(True)

    def _answered(self, raw: Any) -> None:
        record: Any = ffi.cast("struct net_dns_record *", raw)
        asker = ProcessKey(record.head.process.pid, record.head.process.start_ns)
        message = bytes(ffi.buffer(record.message, min(record.length, len(record.message))))
        self.names.learn(message, asker, 0, record.head.timestamp_ns)

    def resolved(self, client: Actor, name: str, *addresses: str, kind: int = 1) -> None:
        """Have a process resolve a name, and wait until its addresses are known."""
        assert list(addresses) == client.ask("resolve", name=name, kind=kind)
        assert self.wait(lambda: all(name in self.names.names(address) for address in addresses))

    @property
    def blocks(self) -> Blocks:
        return self.policy.blocks

    def use(self, text: str) -> None:
        self.policy.use(spec(text))
        self.reaped()

    def reaped(self) -> None:
        """Wait until the connections that became forbidden have ended."""
        assert self.policy.reaper.wait(self.policy.reaper.request(), WAIT_S)

    def counter(self, name: str) -> int:
        return self.sensor.counters()[name]

    def wait(self, condition: Callable[[], bool], timeout_s: float = WAIT_S) -> bool:
        """Take records until the condition holds; False if it never did."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.sensor.consume()
            if condition():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            select.select([self.sensor.fileno()], [], [], min(left, 0.05))

    def one(self, kind: str) -> Drop:
        """The first drop of a kind that is told."""
        assert self.wait(lambda: any(drop.kind == kind for drop in self.drops)), f"nothing was told of {kind}"
        return next(drop for drop in self.drops if drop.kind == kind)

    def close(self) -> None:
        self.policy.close()
        self.sensor.close()
