"""DNS answers, from the kernel's records; what stands in the message is somebody else's affair."""

from __future__ import annotations

from typing import Any, NamedTuple

from raqib.kernel.layout import constant, ffi
from raqib.model.process import ProcessKey
from raqib.sensors.flows import address_text

_RESOLVER, _LISTED = constant("NET_RESOLVER"), constant("NET_LISTED")


class DnsAnswer(NamedTuple):
    """An answer to a question that a process had asked."""

    message: bytes
    """As it came; cut where it was too long for a record."""
    asker: ProcessKey
    server: str
    from_resolver: bool
    """A resolver of this host said it."""
    from_listed: bool
    """It came from the address of a resolver of this host, though not for certain from that."""
    net_ns: int
    """0 if it is not known."""
    timestamp_ns: int


def dns_answer(raw: Any) -> DnsAnswer:
    """Decode a record of the kind `NET_RECORD_DNS`."""
    record: Any = ffi.cast("struct net_dns_record *", raw)
    head = record.head
    return DnsAnswer(
        message=bytes(ffi.buffer(record.message, min(record.length, len(record.message)))),
        asker=ProcessKey(head.process.pid, head.process.start_ns),
        server=address_text(bytes(ffi.buffer(record.remote.bytes))),
        from_resolver=record.answerer == _RESOLVER,
        from_listed=record.answerer == _LISTED,
        net_ns=record.net_ns,
        timestamp_ns=head.timestamp_ns,
    )
