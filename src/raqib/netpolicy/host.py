"""What this host cannot do without: its own addresses, its gateways, its resolvers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton

import msgspec

RESOLVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""The second has those that a stub on loopback asks."""

_NAMESERVER = re.compile(r"^\s*nameserver\s+(\S+)", re.MULTILINE)
_FIB_LOCAL = re.compile(r"\|--\s+(\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")
_ROUTE_UP_GATEWAY = 0x3


class Host(msgspec.Struct, frozen=True):
    """Addresses as 4 or 16 bytes."""

    own: frozenset[bytes] = frozenset()
    gateways: frozenset[bytes] = frozenset()
    """Of the default routes."""
    resolvers: frozenset[bytes] = frozenset()


def address_bytes(text: str) -> bytes | None:
    """Return an address as 4 or 16 bytes, without its zone; None if it is none. A mapped one is IPv4."""
    text = text.partition("%")[0]
    try:
        raw = inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return None
    return raw[12:] if len(raw) == 16 and raw.startswith(bytes(10) + b"\xff\xff") else raw


def address_text(raw: bytes) -> str:
    """Return 4 or 16 bytes as text; a mapped address as IPv4."""
    if len(raw) == 16 and raw.startswith(bytes(10) + b"\xff\xff"):
        raw = raw[12:]
    return str(ipaddress.ip_address(raw))


def read_host(extra_resolvers: Iterable[str] = (), proc: Path = Path("/proc/self")) -> Host:
    """Look at this network namespace; `extra_resolvers` are counted too. What cannot be read is absent."""
    net = proc / "net"
    resolvers = {
        raw for path in RESOLVER_FILES for word in _NAMESERVER.findall(_text(path)) if (raw := address_bytes(word))
    }
    resolvers |= {raw for word in extra_resolvers if (raw := address_bytes(word))}
    own = {inet_pton(AF_INET, word) for word in _FIB_LOCAL.findall(_text(net / "fib_trie"))}
    own |= {bytes.fromhex(line.split()[0]) for line in _text(net / "if_inet6").splitlines() if line.split()}
    return Host(frozenset(own), frozenset(_gateways4(_text(net / "route")) | _gateways6(net)), frozenset(resolvers))


class HostWatch:
    """Looks at this host again and again. May be used from any thread."""

    def __init__(self, extra_resolvers: Iterable[str] = ()) -> None:
        """`extra_resolvers` are counted too."""
        self._extra = frozenset(raw for word in extra_resolvers if (raw := address_bytes(word)))
        self._resolvers: frozenset[bytes] = frozenset()

    def read(self, proc: Path = Path("/proc/self")) -> Host:
        """Return what this host is now. While the files name no resolvers, the last that they named are meant."""
        host = read_host(proc=proc)
        self._resolvers = resolvers = host.resolvers or self._resolvers
        return msgspec.structs.replace(host, resolvers=resolvers | self._extra)


def _gateways4(table: str) -> set[bytes]:
    found = set()
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 7 and words[1] == words[7] == "00000000" and int(words[3], 16) & 3 == _ROUTE_UP_GATEWAY:
            found.add(int(words[2], 16).to_bytes(4, "little"))
    return found


def _gateways6(net: Path) -> set[bytes]:
    found = set()
    for line in _text(net / "ipv6_route").splitlines():
        words = line.split()
        if len(words) > 8 and words[1] == "00" and int(words[8], 16) & 3 == _ROUTE_UP_GATEWAY:
            found.add(bytes.fromhex(words[4]))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
