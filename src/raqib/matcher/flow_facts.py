"""Facts about one flow. Each may have several values: both sides, an address and its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from raqib.matcher.domain_score import domain_score
from raqib.model.flow import Endpoint, FlowObservation


def _peer(endpoint: Endpoint) -> list[str]:
    return [endpoint.address, *endpoint.names] if endpoint.address else list(endpoint.names)


def _with_port(endpoint: Endpoint) -> Iterator[str]:
    for text in _peer(endpoint):
        # As in URLs, so that the port can be told from the address.
        yield f"[{text}]:{endpoint.port}" if ":" in text else f"{text}:{endpoint.port}"


def _ports(*endpoints: Endpoint) -> list[int]:
    return [endpoint.port for endpoint in endpoints if endpoint.port]


FLOW_TEXTS: Final[dict[str, Callable[[FlowObservation], list[str]]]] = {
    "proto": lambda flow: [flow.protocol],
    "family": lambda flow: [f"ipv{flow.ip_version}"],
    "local": lambda flow: _peer(flow.local),
    "remote": lambda flow: _peer(flow.remote),
    "any_peers": lambda flow: [*_peer(flow.local), *_peer(flow.remote)],
    "any_peers_and_ports": lambda flow: [*_with_port(flow.local), *_with_port(flow.remote)],
}
FLOW_NUMBERS: Final[dict[str, Callable[[FlowObservation], list[int]]]] = {
    "local_ports": lambda flow: _ports(flow.local),
    "remote_ports": lambda flow: _ports(flow.remote),
    "any_ports": lambda flow: _ports(flow.local, flow.remote),
    "remote_domain_score": lambda flow: [domain_score(name) for name in flow.remote.names],
}
FLOW_ADDRESSES: Final[dict[str, Callable[[FlowObservation], list[str]]]] = {
    "local": lambda flow: [flow.local.address],
    "remote": lambda flow: [flow.remote.address],
    "any_peers": lambda flow: [flow.local.address, flow.remote.address],
}
