"""Back from a flow as it was printed to what was observed."""

from __future__ import annotations

from functools import reduce
from operator import or_

from raqib.model import event
from raqib.model.flow import FLOW_ACTION_NAMES, NO_FLOW_ACTIONS, Endpoint, FlowObservation, Traffic
from raqib.model.process import Process


def flow_of(flow: event.Flow, process: Process, timestamp_ns: int) -> FlowObservation:
    """Return the observation that an event's flow tells of."""
    told = [name for name in FLOW_ACTION_NAMES if getattr(flow.flags, name, False) is True]
    status = flow.phase.status if flow.phase is not None else None
    if status is not None and status in FLOW_ACTION_NAMES:
        told.append(status)
    actions = reduce(or_, (FLOW_ACTION_NAMES[name] for name in told), NO_FLOW_ACTIONS)
    carried = flow.traffic
    return FlowObservation(
        process=process,
        protocol=flow.proto,
        ip_version=flow.ip_version,
        local=_endpoint(flow.local),
        remote=_endpoint(flow.remote),
        actions=actions,
        new=actions,
        timestamp_ns=timestamp_ns,
        icmp_type=flow.icmp.type if flow.icmp is not None else None,
        icmp_code=flow.icmp.code if flow.icmp is not None else None,
        traffic=Traffic()
        if carried is None
        else Traffic(carried.packets_in, carried.packets_out, carried.bytes_in, carried.bytes_out),
    )


def _endpoint(told: event.Endpoint | None) -> Endpoint:
    if told is None:
        return Endpoint("")
    names = tuple(told.names or ([told.name] if told.name else []))
    # An event does not say which of them; so none of them is sure.
    return Endpoint(told.address or "", told.port or 0, names, names if told.names_from else (), told.names_from)
