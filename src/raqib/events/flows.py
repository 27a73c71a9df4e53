"""From flows as the kernel knows them to the parts of an event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raqib.model import event
from raqib.model.event import FlowFlags, FlowPair, FlowProtocol, Flows, Icmp, Nodes, Phase, PortPair
from raqib.model.flow import Endpoint, FlowAction, FlowObservation

_FLAGS = tuple(FlowFlags.__struct_fields__)


def flow_info(seen: FlowObservation) -> event.Flow:
    """Describe a flow."""
    traffic = seen.traffic
    return event.Flow(
        ip_version=seen.ip_version,
        proto=seen.protocol,
        icmp=_icmp(seen),
        local=_endpoint(seen, seen.local),
        remote=_endpoint(seen, seen.remote),
        service_port=_called(seen).port or None,
        flags=FlowFlags(**{name: FlowAction[name.upper()] in seen.actions for name in _FLAGS}),
        phase=_phase(seen),
        traffic=event.Traffic(
            packets_in=traffic.packets_in,
            packets_out=traffic.packets_out,
            bytes_in=traffic.bytes_in,
            bytes_out=traffic.bytes_out,
        )
        if seen.first_ns
        else None,
    )


def flows_info(flows: Sequence[FlowObservation]) -> Flows:
    """Describe all flows of a process: by protocol, and for each protocol by pair of nodes.

    `ip_version` is there if all have the same.
    """
    versions = {flow.ip_version for flow in flows}
    by_protocol: dict[str, list[FlowObservation]] = {}
    for flow in flows:
        by_protocol.setdefault(flow.protocol, []).append(flow)
    return Flows(
        ip_version=versions.pop() if len(versions) == 1 else None,
        protocols=[
            FlowProtocol(proto=protocol, pairs=_pairs(members), icmps=_icmps(members))
            for protocol, members in by_protocol.items()
        ],
    )


def with_flow(flows: Iterable[FlowObservation], seen: FlowObservation) -> list[FlowObservation]:
    """Return the flows of a process with the one that an event is about in front, as it was then."""
    same = _identity(seen)
    return [seen, *(flow for flow in flows if _identity(flow) != same)]


def _identity(flow: FlowObservation) -> tuple[object, ...]:
    nodes = (flow.local.address, flow.local.port, flow.remote.address, flow.remote.port)
    return (flow.protocol, flow.icmp_type, flow.icmp_code, *nodes)


def _pairs(flows: Sequence[FlowObservation]) -> list[FlowPair]:
    pairs: dict[tuple[str, str], FlowPair] = {}
    for flow in flows:
        place = (flow.local.address, flow.remote.address)
        if place not in pairs:
            nodes = Nodes(local=_node(flow.local), remote=_node(flow.remote))
            pairs[place] = FlowPair(nodes=nodes, port_matrix=[])
        if flow.protocol != "icmp":
            source, called = (
                (flow.remote, flow.local) if flow.actions & FlowAction.INCOMING else (flow.local, flow.remote)
            )
            pairs[place].port_matrix.append(PortPair(src_port=source.port, dst_port=called.port, phase=_phase(flow)))
    return list(pairs.values())


def _icmps(flows: Sequence[FlowObservation]) -> list[Icmp]:
    kinds = dict.fromkeys((flow.icmp_type, flow.icmp_code) for flow in flows)
    return [Icmp(type=kind, code=code or 0) for kind, code in kinds if kind is not None]


def _icmp(seen: FlowObservation) -> Icmp | None:
    if seen.icmp_type is None:
        return None
    return Icmp(type=seen.icmp_type, code=seen.icmp_code or 0)


def _node(endpoint: Endpoint) -> event.Endpoint:
    names = list(endpoint.names)
    name = names[0] if names else None
    return event.Endpoint(address=endpoint.address, name=name, names=names, names_from=endpoint.names_from)


def _endpoint(seen: FlowObservation, endpoint: Endpoint) -> event.Endpoint:
    node = _node(endpoint)
    if seen.protocol != "icmp":
        node.port = endpoint.port
    return node


def _called(seen: FlowObservation) -> Endpoint:
    """Return the side that did not begin."""
    return seen.local if seen.actions & FlowAction.INCOMING else seen.remote


def _phase(seen: FlowObservation) -> Phase:
    actions = seen.actions
    status = None
    for action, name in (
        (FlowAction.ENDED, "ended"),
        (FlowAction.ONGOING, "ongoing"),
        (FlowAction.STARTED, "started"),
        (FlowAction.CREATED, "created"),
    ):
        if actions & action:
            status = name
            break
    return Phase(
        direction=_either(actions, FlowAction.INCOMING, "incoming", FlowAction.OUTGOING, "outgoing"),
        initiated_by=_either(actions, FlowAction.OUTGOING, "local", FlowAction.INCOMING, "remote"),
        status=status,
        ended_by=_either(actions, FlowAction.TERMINATOR, "local", FlowAction.TERMINATED, "remote"),
    )


def _either(actions: FlowAction, first: FlowAction, its: str, other: FlowAction, others: str) -> str | None:
    return its if actions & first else others if actions & other else None
