"""A sample flow, filled in so that what it does not name is what the recipe is about."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from raqib.model.flow import ALL_FLOW_ACTIONS, Endpoint, FlowAction, FlowObservation
from raqib.model.process import Process
from raqib.recipes.spec import NetworkPart, SampleFlow, SamplePeer

_USUAL = FlowAction.CREATED | FlowAction.EGRESS | FlowAction.OUTGOING | FlowAction.STARTED
_LOCAL_PORT = 40_000
_REMOTE_PORT = 443
_ADDRESSES = {4: ("192.0.2.1", "198.51.100.1"), 6: ("2001:db8::1", "2001:db8:1::1")}
"""Of this host and of another one, from the ranges for documentation."""


def sample_flow(part: NetworkPart, flow: SampleFlow, process: Process, timestamp_ns: int) -> FlowObservation:
    """Return the flow."""
    protocol = flow.proto or next(iter(part.protocols), "tcp")
    version = _version(flow, part)
    icmp = protocol == "icmp"
    remote_names = flow.remote.names
    if remote_names is None:
        remote_names = part.remote_domains[:1] if flow.remote.address is None else ()
    local_names = part.local_domains[:1] if flow.local.names is None else flow.local.names
    actions = flow.actions
    if actions is None:
        actions = _USUAL if part.flow_actions == ALL_FLOW_ACTIONS else part.flow_actions
    return FlowObservation(
        process=process,
        protocol=protocol,
        ip_version=version,
        local=Endpoint(
            flow.local.address or _address(part.local_cidrs, version, _ADDRESSES[version][0]),
            0 if icmp else _port(flow.local, part.local_ports, _LOCAL_PORT),
            local_names,
        ),
        remote=Endpoint(
            flow.remote.address or _address(part.remote_cidrs, version, _ADDRESSES[version][1]),
            0 if icmp else _port(flow.remote, part.remote_ports, _REMOTE_PORT),
            remote_names,
        ),
        actions=actions,
        new=actions,
        timestamp_ns=timestamp_ns,
        icmp_type=(8 if flow.icmp_type is None else flow.icmp_type) if icmp else None,
        icmp_code=(flow.icmp_code or 0) if icmp else None,
    )


def _version(flow: SampleFlow, part: NetworkPart) -> int:
    given = flow.remote.address or flow.local.address
    if given is not None:
        return ip_address(given).version
    network = next(iter((*part.remote_cidrs, *part.local_cidrs)), None)
    return 4 if network is None else ip_network(network).version


def _address(cidrs: Iterable[str], version: int, otherwise: str) -> str:
    networks = map(ip_network, cidrs)
    return next((str(network.network_address) for network in networks if network.version == version), otherwise)


def _port(peer: SamplePeer, ports: tuple[int, ...], otherwise: int) -> int:
    return peer.port if peer.port is not None else next(iter(ports), otherwise)
