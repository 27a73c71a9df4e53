"""The network where nothing is done: no host of its own, and blocks that are nowhere but in memory."""

from __future__ import annotations

from collections.abc import Iterable

from raqib.actions.network_access import Kind, NetworkAccess
from raqib.model.clock import boottime_ns
from raqib.model.detection import Detection
from raqib.model.flow import Endpoint
from raqib.netpolicy.guards import Guards
from raqib.netpolicy.host import Host


class DryBlocks:
    """Blocks by the guards that hold on every host."""

    def __init__(self, protected: Iterable[str] = ()) -> None:
        """`protected` are networks that are never blocked. Raises ValueError if one is none."""
        self._guards = Guards(Host, protected)
        self._blocks: dict[tuple[Kind, str], int | None] = {}

    def check(self, kind: Kind, target: str) -> str:
        """Return the target in its usual form. Raises RefusedError."""
        return self._guards.network(target).text if kind == "network" else self._guards.domain(target)

    def block(self, kind: Kind, target: str, *, owner: str, reason: str, until_ns: int | None) -> bool:
        """Remember a block; False if there was one already. Raises RefusedError."""
        key = kind, self.check(kind, target)
        known = self._stands(key)
        self._blocks[key] = until_ns
        return not known

    def unblock(self, kind: Kind, target: str, *, by: str | None) -> bool:
        """Forget a block; False if there was none. Raises RefusedError."""
        key = kind, self.check(kind, target)
        known = self._stands(key)
        self._blocks.pop(key, None)
        return known

    def _stands(self, key: tuple[Kind, str]) -> bool:
        if key not in self._blocks:
            return False
        until_ns = self._blocks[key]
        return until_ns is None or until_ns > boottime_ns()


def dry_network(protected: Iterable[str] = ()) -> NetworkAccess:
    """Return a network without any block."""
    return NetworkAccess(DryBlocks(protected), _remotes)


def _remotes(detection: Detection) -> list[Endpoint]:
    """Return the other ends of the flows that the event tells of."""
    event = detection.event
    flows = [event.flow] if event.flow is not None else []
    flows += event.background.flow_list if event.background is not None else []
    return [
        Endpoint(flow.remote.address, names=tuple(flow.remote.names or ()))
        for flow in flows
        if flow.remote is not None and flow.remote.address
    ]
