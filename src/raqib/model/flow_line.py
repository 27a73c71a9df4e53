"""A flow in one line, as compact events have it, and back.

    tcp 192.0.2.1:40000 -> 198.51.100.7:443 (www.a.example b.example) ended by remote, 9/12 packets, 840/5100 bytes

The arrow points away from who began (`--`: not known), the names are those of the remote side, behind them `; resolver`
or `; unlisted` as in `names_from`, and of packets and bytes those that came in are first. Names are percent-encoded, so
that none can look like another part of the line.
"""

from __future__ import annotations

import re
from typing import Literal, cast
from urllib.parse import quote, unquote

from raqib.model.event import Endpoint, Flow, FlowFlags, Icmp, Phase, Traffic

_ARROWS = {"outgoing": "->", "incoming": "<-", None: "--"}
_DIRECTIONS = {arrow: direction for direction, arrow in _ARROWS.items()}
_BEGUN_BY = {"outgoing": "local", "incoming": "remote"}
_LINE = re.compile(
    r"(?P<proto>\S+) (?P<local>\S+) (?P<arrow>->|<-|--) (?P<remote>\S+)"
    r"(?: type (?P<type>\d{1,3})/(?P<code>\d{1,3}))?"
    r"(?: \((?P<names>[^();]*)(?:; (?P<names_from>resolver|unlisted))?\))?"
    r"(?: (?P<status>created|started|ongoing|ended))?(?: by (?P<ended_by>local|remote))?"
    r"(?:, (?P<packets>\d{1,20}/\d{1,20}) packets, (?P<bytes>\d{1,20}/\d{1,20}) bytes)?"
)


def flow_line(flow: Flow) -> str:
    """Return a flow in one line."""
    phase = flow.phase or Phase()
    parts = [flow.proto, _node(flow.local), _ARROWS.get(phase.direction, "--"), _node(flow.remote)]
    if flow.icmp is not None:
        parts.append(f"type {flow.icmp.type}/{flow.icmp.code}")
    names = flow.remote.names if flow.remote is not None else None
    if names:
        said_by = f"; {flow.remote.names_from}" if flow.remote is not None and flow.remote.names_from else ""
        parts.append(f"({' '.join(quote(name, safe='') for name in names)}{said_by})")
    if phase.status:
        parts.append(phase.status)
    if phase.ended_by:
        parts.append(f"by {phase.ended_by}")
    line = " ".join(parts)
    carried = flow.traffic
    if carried is None:
        return line
    packets, size = (carried.packets_in, carried.packets_out), (carried.bytes_in, carried.bytes_out)
    return f"{line}, {packets[0]}/{packets[1]} packets, {size[0]}/{size[1]} bytes"


def flow_of_line(line: str) -> Flow | None:
    """Return the flow that a line tells of, as far as it does; None if it is no such line."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    direction = _DIRECTIONS[found["arrow"]]
    icmp = None if found["type"] is None else Icmp(type=int(found["type"]), code=int(found["code"]))
    local, remote = _endpoint(found["local"]), _endpoint(found["remote"])
    remote.names = [unquote(name) for name in (found["names"] or "").split()]
    remote.name = remote.names[0] if remote.names else None
    remote.names_from = cast("Literal['resolver', 'unlisted'] | None", found["names_from"])
    called = local if direction == "incoming" else remote
    traffic = None
    if found["packets"] is not None:
        packets, size = ([int(number) for number in found[part].split("/")] for part in ("packets", "bytes"))
        traffic = Traffic(packets_in=packets[0], packets_out=packets[1], bytes_in=size[0], bytes_out=size[1])
    status, ended_by = found["status"], found["ended_by"]
    return Flow(
        ip_version=6 if ":" in (remote.address or "") else 4,
        proto=found["proto"],
        icmp=icmp,
        local=local,
        remote=remote,
        service_port=called.port or None,
        flags=FlowFlags(
            ingress=traffic is not None and traffic.packets_in > 0,
            egress=traffic is not None and traffic.packets_out > 0,
            incoming=direction == "incoming",
            outgoing=direction == "outgoing",
            started=status in ("started", "ongoing", "ended"),
            ongoing=status == "ongoing",
            ended=status == "ended",
            terminator=ended_by == "local",
            terminated=ended_by == "remote",
        ),
        phase=Phase(direction=direction, initiated_by=_BEGUN_BY.get(direction or ""), status=status, ended_by=ended_by),
        traffic=traffic,
    )


def _node(endpoint: Endpoint | None) -> str:
    if endpoint is None or not endpoint.address:
        return "?"
    address = quote(endpoint.address, safe=":")
    if endpoint.port is None:
        return address
    return f"[{address}]:{endpoint.port}" if ":" in address else f"{address}:{endpoint.port}"


def _endpoint(text: str) -> Endpoint:
    if text == "?":
        return Endpoint(names=[])
    port = None
    if text.startswith("["):
        text, _, number = text[1:].partition("]:")
    elif text.count(":") == 1:
        text, _, number = text.partition(":")
    else:
        number = ""
    if number.isascii() and number.isdigit():
        port = int(number)
    return Endpoint(address=unquote(text), names=[], port=port)
