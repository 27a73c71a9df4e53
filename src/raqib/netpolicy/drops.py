"""What the kernel side denied, as it tells it: counted, and never one record a packet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from raqib.kernel.layout import constant, ffi
from raqib.model.clock import boottime_ns
from raqib.model.process import ProcessKey
from raqib.netpolicy.host import address_text

Source = Literal["default", "rule", "domain", "block", "domain_block"]

_SOURCES: dict[int, Source] = {
    constant("NET_BY_DEFAULT"): "default",
    constant("NET_BY_RULE"): "rule",
    constant("NET_BY_DOMAIN"): "domain",
    constant("NET_BY_BLOCK"): "block",
    constant("NET_BY_DOMAIN_BLOCK"): "domain_block",
}
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}


class Drop(msgspec.Struct, frozen=True):
    """Packets that were dropped, or only reported: all of one rule, process and remote side."""

    kind: Literal["dropip", "dropdomain"]
    timestamp_ns: int
    """CLOCK_BOOTTIME of the last one."""
    process: ProcessKey | None
    """None if nobody knows."""
    source: Source
    rule: str
    """In words."""
    count: int
    """Since the last report of the same."""
    enforced: bool
    """Whether they were dropped."""
    egress: bool
    protocol: str
    ip_version: int
    local: str
    local_port: int
    remote: str
    remote_port: int
    name: str | None = None
    """Of a denied question: what was asked for."""
    icmp: tuple[int, int] | None = None
    lost: int = 0


def decode_drop(raw: Any, describe: Callable[[Source, int, int], str]) -> Drop:
    """Return what a `struct net_record *` of a drop says.

    `describe` tells a rule in words, by its source, its number or hash, and the epoch of its policy.
    """
    is_domain = raw.kind == constant("NET_RECORD_DROP_DOMAIN")
    whole: Any = ffi.cast("struct net_drop_domain *", raw) if is_domain else None
    drop: Any = ffi.cast("struct net_drop *", raw)
    source = _SOURCES[drop.source]
    name = None
    if whole is not None:
        name = bytes(ffi.buffer(whole.name))[: whole.name_length].decode("ascii", "backslashreplace")
    key = ProcessKey(drop.head.process.pid, drop.head.process.start_ns)
    return Drop(
        kind="dropdomain" if is_domain else "dropip",
        timestamp_ns=drop.head.timestamp_ns,
        process=key if key.pid else None,
        source=source,
        rule=describe(source, drop.rule, drop.epoch),
        count=drop.count,
        enforced=bool(drop.act & constant("NET_ENFORCE")),
        remote=address_text(bytes(drop.remote.bytes)),
        name=name,
        lost=drop.head.lost,
        **_packet(drop),
    )


def decode_count(key: Any, value: Any, describe: Callable[[Source, int, int], str]) -> Drop:
    """Return what a `struct net_drop_key` and its count say, of which only the first packet is known more closely."""
    source = _SOURCES[key.source]
    process = ProcessKey(key.process.pid, key.process.start_ns)
    is_question = bool(key.question)
    return Drop(
        kind="dropdomain" if is_question else "dropip",
        timestamp_ns=boottime_ns(),
        process=process if process.pid else None,
        source=source,
        rule=describe(source, key.rule, value.epoch),
        count=value.unreported,
        enforced=bool(key.act & constant("NET_ENFORCE")),
        remote="" if is_question else address_text(bytes(key.remote.bytes)),
        **_packet(value),
    )


def _packet(raw: Any) -> dict[str, Any]:
    """Return what both structs say of a packet."""
    protocol = _PROTOCOLS.get(raw.protocol, str(raw.protocol))
    return {
        "egress": raw.direction == constant("NET_EGRESS"),
        "protocol": protocol,
        "ip_version": raw.version,
        "local": address_text(bytes(raw.local.bytes)),
        "local_port": raw.local_port,
        "remote_port": raw.remote_port,
        "icmp": (raw.icmp_type, raw.icmp_code) if protocol == "icmp" else None,
    }
