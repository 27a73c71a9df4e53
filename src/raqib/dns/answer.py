"""A DNS answer, read: which addresses it gives the name that was asked for, and by which aliases.

Answers are hostile. Each is read with a bound on its records; names are the library's, whose compression pointers only
lead backwards. Where an answer is damaged, what stood before counts: a resolver may have taken it so. Records that do
not belong to the name that was asked for do not count: else anybody's server could name anybody's address.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

import dns.exception
import dns.name
import dns.wire

MAX_RECORDS: Final = 128
MAX_ADDRESSES: Final = 256
"""Of one answer; more are not told."""
MAX_ALIASES: Final = 16
"""Longer chains end here: resolvers follow fewer."""

_HEADER: Final = "!HHHHHH"
_RESPONSE, _OPCODE, _RCODE = 0x8000, 0x7800, 0x000F
_IN: Final = 1
_POINTER: Final = 0xC0
_A, _CNAME, _AAAA, _SVCB, _HTTPS = 1, 5, 28, 64, 65
_IPV4_HINT, _IPV6_HINT = 4, 6


class Found(NamedTuple):
    """One address that an answer gives."""

    address: str
    names: tuple[str, ...]
    """The name that was asked for, then the aliases that led to the address, in their order."""
    ttl_s: int
    """The least of the records that led to it."""


class Answer(NamedTuple):
    """A DNS answer."""

    question: str
    """The name that was asked for, in lower case, without the last dot; special characters are escaped."""
    found: tuple[Found, ...]


class _Records:
    """The records of an answer that say where a name leads, by name."""

    def __init__(self, parser: dns.wire.Parser) -> None:
        self._parser = parser
        self._pointed: dict[int, str] = {}
        self.aliases: dict[str, tuple[str, int]] = {}
        self.addresses: dict[str, list[tuple[str, int]]] = {}
        self.count = 0

    def name(self) -> str:
        """Read a name. What a pointer leads to is read once: the longest names cost most."""
        parser = self._parser
        head = parser.wire[parser.current : parser.current + 2]
        pointer = int.from_bytes(head, "big") if len(head) == 2 and head[0] >= _POINTER else 0
        if pointer in self._pointed:
            parser.get_uint16()
            return self._pointed[pointer]
        text = _name(parser)
        if pointer:
            self._pointed[pointer] = text
        return text

    def alias(self, name: str, target: str, ttl_s: int) -> None:
        self.aliases.setdefault(name, (target, ttl_s))

    def address(self, name: str, raw: bytes, ttl_s: int) -> None:
        if self.count >= MAX_ADDRESSES:
            return
        self.count += 1
        address = IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        self.addresses.setdefault(name, []).append((str(mapped or address), ttl_s))


def parse_answer(payload: bytes) -> Answer | None:
    """Read a DNS message without the length that TCP puts before it; None if it is no answer to one question."""
    parser = dns.wire.Parser(payload)
    try:
        _, flags, questions, records, _, _ = parser.get_struct(_HEADER)
        if not flags & _RESPONSE or flags & (_OPCODE | _RCODE) or questions != 1:
            return None
        question = _name(parser)
        parser.get_struct("!HH")
    except dns.exception.DNSException:
        return None
    known = _Records(parser)
    try:
        for _ in range(min(records, MAX_RECORDS)):
            _record(parser, known)
    except dns.exception.DNSException:
        pass  # what was read before counts
    return Answer(question, tuple(_follow(question, known)))


def _name(parser: dns.wire.Parser) -> str:
    return dns.name.from_wire_parser(parser).to_text(omit_final_dot=True).lower()


def _record(parser: dns.wire.Parser, known: _Records) -> None:
    name = known.name()
    kind, class_, ttl_s, length = parser.get_struct("!HHIH")
    if ttl_s >= 1 << 31:
        ttl_s = 0  # RFC 2181: as if it were none
    with parser.restrict_to(length):
        if class_ == _IN and (kind, length) in ((_A, 4), (_AAAA, 16)):
            known.address(name, parser.get_remaining(), ttl_s)
        elif class_ == _IN and kind == _CNAME:
            known.alias(name, known.name(), ttl_s)
        elif class_ == _IN and kind in (_SVCB, _HTTPS):
            _service(parser, name, ttl_s, known)
        else:
            parser.get_remaining()


def _service(parser: dns.wire.Parser, name: str, ttl_s: int, known: _Records) -> None:
    """Read where a service is (RFC 9460): browsers connect to the addresses that it hints at."""
    priority = parser.get_uint16()
    target = known.name()
    if priority == 0 and target not in ("", "."):
        known.alias(name, target, ttl_s)
    while parser.remaining():
        key, length = parser.get_struct("!HH")
        value = parser.get_bytes(length)
        size = {_IPV4_HINT: 4, _IPV6_HINT: 16}.get(key)
        if size is not None:
            for start in range(0, len(value) - size + 1, size):
                known.address(name, value[start : start + size], ttl_s)


def _follow(question: str, known: _Records) -> Iterator[Found]:
    """Yield the addresses that the name leads to."""
    names: list[str] = []
    name, ttl_s = question, 1 << 31
    while name not in names and len(names) <= MAX_ALIASES:
        names.append(name)
        for address, own_ttl_s in known.addresses.get(name, ()):
            yield Found(address, tuple(names), min(ttl_s, own_ttl_s))
        if name not in known.aliases:
            return
        name, alias_ttl_s = known.aliases[name]
        ttl_s = min(ttl_s, alias_ttl_s)
