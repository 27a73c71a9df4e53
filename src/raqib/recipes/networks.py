"""Sets of domains and of networks that may have a million entries: small, and as quick to ask as if they had ten.

A domain is kept as a 64-bit hash of its text, eight bytes in a sorted array. What is found is not compared with a text
again: a strange name is taken for one of a list of a million with a chance of about one in 2^44. A network is kept as
its number among those of the same prefix length.
"""

from __future__ import annotations

import ipaddress
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

from raqib.recipes.spec import DomainMatch

_SLOTS_BITS: Final = 20
"""A table of so many bits of the hash narrows the search to a few neighbours."""
_LARGE: Final = 1 << 16
_MASK: Final = (1 << 64) - 1

_NULL_ADDRESSES = frozenset({"0.0.0.0", "127.0.0.1", "127.0.1.1", "255.255.255.255", "::", "::1", "fe80::1%lo0"})  # noqa: S104
_LOCAL_NAMES = frozenset(
    {"localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback", "0.0.0.0"}  # noqa: S104
)
_MAPPED = bytes(10) + b"\xff\xff"


class _Hashes:
    """A set of 64-bit numbers, eight bytes each, and four more bytes for each slot."""

    __slots__ = ("_slots", "_values")

    def __init__(self, values: Iterable[int]) -> None:
        gathered = array("Q", values)
        self._values = array("Q", sorted(set(gathered)))
        self._slots = array("I")
        if len(self._values) >= _LARGE:
            shift = 64 - _SLOTS_BITS
            counts = array("I", bytes(4 * ((1 << _SLOTS_BITS) + 1)))
            for value in self._values:
                counts[(value >> shift) + 1] += 1
            for slot in range(1, len(counts)):
                counts[slot] += counts[slot - 1]
            self._slots = counts

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, value: int) -> bool:
        low, high = 0, len(self._values)
        if self._slots:
            slot = value >> 64 - _SLOTS_BITS
            low, high = self._slots[slot], self._slots[slot + 1]
        at = bisect_left(self._values, value, low, high)
        return at < high and self._values[at] == value


class DomainSet:
    """Names of hosts. Case and a trailing dot do not matter."""

    __slots__ = ("_hashes", "_most_labels", "_type")

    def __init__(self, names: Iterable[str], match: DomainMatch = "exact") -> None:
        """`suffix`: a name of the set or below it; `prefix`: a name whose first labels are one of the set."""
        self._type = match
        self._most_labels = 0
        self._hashes = _Hashes(self._hashed(names))

    def _hashed(self, names: Iterable[str]) -> Iterator[int]:
        for name in names:
            plain = normal(name)
            if plain:
                self._most_labels = max(self._most_labels, plain.count(".") + 1)
                yield hash(plain) & _MASK

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, name: str) -> bool:
        text = normal(name)
        if not text:
            return False
        if self._type == "exact":
            return hash(text) & _MASK in self._hashes
        hashes, dot = self._hashes, len(text) if self._type == "suffix" else -1
        for _ in range(self._most_labels):
            dot = text.rfind(".", 0, dot) if self._type == "suffix" else text.find(".", dot + 1)
            if dot < 0:
                return hash(text) & _MASK in hashes
            part = text[dot + 1 :] if self._type == "suffix" else text[:dot]
            if hash(part) & _MASK in hashes:
                return True
        return False


class NetworkSet:
    """Networks of both versions of IP."""

    __slots__ = ("_lengths",)

    def __init__(self, cidrs: Iterable[str]) -> None:
        """Raises `ValueError` for what is neither an address nor a network; bits of the host are ignored."""
        numbers: defaultdict[tuple[int, int], array[int] | set[int]] = defaultdict(set)
        for cidr in cidrs:
            version, length, number = _network(cidr)
            kept = numbers[version, length]
            if isinstance(kept, set):
                kept.add(number)
        self._lengths: dict[int, list[tuple[int, int, set[int] | _Hashes]]] = {4: [], 6: []}
        for (version, length), found in sorted(numbers.items(), reverse=True):
            bits = 32 if version == 4 else 128
            held: set[int] | _Hashes = set(found)
            if len(found) >= _LARGE and length <= 64:
                held = _Hashes(number << (64 - length) if length else 0 for number in found)
            self._lengths[version].append((bits - length, 64 - length, held))

    def __len__(self) -> int:
        return sum(len(held) for lengths in self._lengths.values() for _, _, held in lengths)

    def __contains__(self, address: str) -> bool:
        return self.longest(address) is not None

    def longest(self, address: str) -> int | None:
        """Return the prefix length of the narrowest network that has an address; None if there is none."""
        try:
            version, raw = (6, inet_pton(AF_INET6, address)) if ":" in address else (4, inet_pton(AF_INET, address))
        except (OSError, ValueError):
            return None
        if raw.startswith(_MAPPED):
            version, raw = 4, raw[12:]
        number, bits = int.from_bytes(raw, "big"), 8 * len(raw)
        for shift, scale, held in self._lengths[version]:
            prefix = number >> shift
            if (prefix << scale if isinstance(held, _Hashes) else prefix) in held:
                return bits - shift
        return None


def normal(name: str) -> str:
    """Return a host's name in the form in which names are compared."""
    return name.strip(".").lower()


def _network(cidr: str) -> tuple[int, int, int]:
    address, slash, length = cidr.partition("/")
    # Ten times as quick as ipaddress, which has the last word on everything unusual.
    if ":" not in address and (not slash or (length.isascii() and length.isdecimal())):
        bits = int(length) if slash else 32
        try:
            number = int.from_bytes(inet_pton(AF_INET, address), "big")
        except (OSError, ValueError):
            bits = 33
        if bits <= 32:
            return 4, bits, number >> 32 - bits
    network = ipaddress.ip_network(cidr, strict=False)
    return network.version, network.prefixlen, int(network.network_address) >> network.max_prefixlen - network.prefixlen


def list_entries(lines: Iterable[str]) -> Iterator[str]:
    """Yield the entries of a list: one a line, `#` begins a comment, of a hosts file the names beside their address."""
    for line in lines:
        words = (line.partition("#")[0] if "#" in line else line).split()
        if len(words) < 2:
            yield from words
        elif words[0] in _NULL_ADDRESSES or _is_address(words[0]):
            yield from (word for word in words[1:] if word not in _LOCAL_NAMES)
        else:
            yield words[0]


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True
