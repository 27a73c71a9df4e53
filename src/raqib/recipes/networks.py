"""Sets of domains and of networks that may have a million entries: small, and as quick to ask as if they had ten.

A domain is kept as a 64-bit hash of its text, eight bytes in a sorted array. What is found is not compared with a text
again: a strange name is taken for one of a list of a million with a chance of about one in 2^44. A network is kept as
its number among those of the same prefix length.
"""

from __future__ import annotations

import contextlib
import ipaddress
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, Literal

DomainMatch = Literal["exact", "suffix", "prefix"]

_SLOTS_BITS: Final = 20
"""A table of so many bits of the hash narrows the search to a few neighbours."""
_LARGE: Final = 1 << 16
_MASK: Final = (1 << 64) - 1
_MOST_LABELS: Final = 127
"""No name has more."""

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
        hashes = self._hashes
        return bool(text) and any(hash(part) & _MASK in hashes for part in parts(text, self._type, self._most_labels))


class NetworkSet:
    """Networks of both versions of IP."""

    __slots__ = ("_lengths",)

    def __init__(self, cidrs: Iterable[str]) -> None:
        """Raises ValueError for what is neither an address nor a network; bits of the host are ignored."""
        numbers: defaultdict[tuple[int, int], array[int] | set[int]] = defaultdict(set)
        for cidr in cidrs:
            version, length, number = _network(cidr)
            kept = numbers[version, length]
            if isinstance(kept, set):
                kept.add(number)
        self._lengths: dict[int, list[tuple[int, int, set[int] | _Hashes]]] = {0: [], 4: [], 6: []}
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
        version, number = number_of(address)
        bits = 32 if version == 4 else 128
        for shift, scale, held in self._lengths[version]:
            prefix = number >> shift
            if (prefix << scale if isinstance(held, _Hashes) else prefix) in held:
                return bits - shift
        return None


class DomainIndex:
    """Which of many owners name a host, each by a few names: asked as quickly however many owners there are."""

    __slots__ = ("_owners",)

    def __init__(self) -> None:
        self._owners: dict[DomainMatch, dict[str, list[int]]] = {}

    def add(self, names: Iterable[str], match: DomainMatch, owner: int) -> None:
        """Add an owner's names."""
        known = self._owners.setdefault(match, {})
        for name in {normal(name) for name in names}:
            known.setdefault(name, []).append(owner)

    def owners(self, name: str) -> Iterator[int]:
        """Yield the owners that have a name, some perhaps more than once."""
        text = normal(name)
        for match, known in self._owners.items():
            for part in parts(text, match, _MOST_LABELS):
                yield from known.get(part, ())


class NetworkIndex:
    """Which of many owners have an address in one of their few networks."""

    __slots__ = ("_lengths",)

    def __init__(self) -> None:
        self._lengths: dict[tuple[int, int], dict[int, list[int]]] = {}

    def add(self, cidrs: Iterable[str], owner: int) -> None:
        """Add an owner's networks. Raises ValueError for what is neither an address nor a network."""
        for version, length, number in {_network(cidr) for cidr in cidrs}:
            shift = (32 if version == 4 else 128) - length
            self._lengths.setdefault((version, shift), {}).setdefault(number, []).append(owner)

    def owners(self, address: str) -> Iterator[int]:
        """Yield the owners that have an address, some perhaps more than once."""
        version, number = number_of(address)
        for (of_version, shift), known in self._lengths.items():
            if of_version == version:
                yield from known.get(number >> shift, ())


def normal(name: str) -> str:
    """Return a name of a host in the form in which names are compared: as DNS has it, lower case, no last dot."""
    plain = name.strip(".").lower()
    if not plain.isascii():
        with contextlib.suppress(UnicodeError):
            return plain.encode("idna").decode("ascii")
    return plain


def parts(name: str, match: DomainMatch, most_labels: int) -> Iterator[str]:
    """Yield what of a name may stand in a list: all of it, or up to so many labels at its end or beginning."""
    if match == "exact":
        yield name
        return
    dot = len(name) if match == "suffix" else -1
    for _ in range(most_labels):
        dot = name.rfind(".", 0, dot) if match == "suffix" else name.find(".", dot + 1)
        if dot < 0:
            yield name
            return
        yield name[dot + 1 :] if match == "suffix" else name[:dot]


def number_of(address: str) -> tuple[int, int]:
    """Return an address as version and number, an IPv4 address mapped into IPv6 as IPv4; (0, 0) if it is none."""
    try:
        version, raw = (6, inet_pton(AF_INET6, address)) if ":" in address else (4, inet_pton(AF_INET, address))
    except (OSError, ValueError):
        return 0, 0
    if raw.startswith(_MAPPED):
        version, raw = 4, raw[12:]
    return version, int.from_bytes(raw, "big")


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
