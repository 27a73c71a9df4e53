"""Flows for a recording: named as an agent names them, and handed over as they come."""

from __future__ import annotations

from collections.abc import Callable

from raqib.agent.config import NetworkConfig
from raqib.agent.environment import Environments
from raqib.agent.network import Network
from raqib.agent.shadow import Shadows
from raqib.matcher.matcher import Prepared
from raqib.model.flow import FlowObservation
from raqib.sensors.files import FileSensor


class FlowRecorder(Network):
    """What a recorder has of the network: it matches nothing, and enforces nothing whatever the configuration says."""

    def __init__(
        self,
        config: NetworkConfig,
        prepared: Prepared,
        files: FileSensor,
        take: Callable[[FlowObservation], None],
        *,
        environments: Environments,
        everything: bool,
    ) -> None:
        """`take` gets what the recipes may need, or, with `everything`, also how each other flow begins and ends."""
        super().__init__(
            _to_watch(config, everything),
            prepared,
            files,
            environments=environments,
            shadows=Shadows(),
            window_s=1.0,
            report=lambda detection: None,
            tell=lambda event: None,
        )
        self._take = take

    def _observe(self, seen: FlowObservation) -> None:
        self._take(seen)


def _to_watch(config: NetworkConfig, everything: bool) -> NetworkConfig:
    """Return the settings of what is seen, and none of what is done."""
    return NetworkConfig(
        cgroup=config.cgroup,
        flow_events=everything,
        resolvers=config.resolvers,
        ring_bytes=config.ring_bytes,
        flows=config.flows,
        flow_links=config.flow_links,
        flow_heads=config.flow_heads,
        flows_pending=config.flows_pending,
        sockets=config.sockets,
    )
