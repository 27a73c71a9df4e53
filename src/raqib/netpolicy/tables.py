"""The kernel's maps of the network policy."""

from __future__ import annotations

import contextlib
import secrets
import struct
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from raqib.kernel.layout import constant, ffi
from raqib.kernel.maps import Map
from raqib.kernel.object import HASH, LPM_TRIE, BpfObject
from raqib.model.clock import boottime_ns
from raqib.netpolicy.lock import locked
from raqib.netpolicy.spec import DomainRule, Mode, PolicySpec, Prefix, Verdict

_MODE_BITS: dict[Mode, int] = {
    "bypass": 0,
    "alert": constant("NET_ALERT"),
    "enforce": constant("NET_ENFORCE"),
    "both": constant("NET_ALERT") | constant("NET_ENFORCE"),
}
_VERDICTS: dict[Verdict, int] = {"allow": constant("NET_ALLOW"), "deny": constant("NET_DENY")}
_RULE = struct.Struct("=IBBH")
"""`struct net_rule`."""
_PREFIX4, _PREFIX6 = struct.Struct("=I4s"), struct.Struct("=I16s")
_MOST_GUARDED = constant("MOST_GUARDED")

DROP_INTERVAL_NS = 10 * 10**9
SHORTEST_DENIAL_NS = 60 * 10**9
"""Programs keep an address for longer than its time to live: so long at least it stays denied."""


_NEVER_NS = 2**63 - 1
"""An end that never comes."""


def wire_name(domain: str) -> bytes:
    """Return a domain as DNS messages have it."""
    labels = [label.encode("ascii") for label in domain.split(".")] if domain else []
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def has_ended(block: Any, now_ns: int) -> bool:
    """Tell whether a runtime block holds no more."""
    return bool(block.end_ns) and block.end_ns <= now_ns


class Tables:
    """Reads and writes the maps; what comes into force does so as a whole."""

    def __init__(self, bpf: BpfObject, shared: Path | None = None) -> None:
        """Only look: nothing is changed. `shared` is the directory where the maps are pinned, if they are."""
        self._bpf = bpf
        self._shared = shared
        self._lock = threading.RLock()
        self._depth = 0
        self._config = bpf.map(".data.net_config", "uint32_t", "struct net_config")
        self._switch = bpf.map(".data.net_switch", "uint32_t", "struct net_switch")
        self._resolvers = bpf.map("net_resolvers", "struct net_address", "uint32_t")
        self._guarded = bpf.map("net_guarded", "struct net_prefix6", "uint32_t")
        self.blocks: Map = bpf.map("net_blocks", "struct net_prefix6", "struct net_block")
        self.domain_blocks: Map = bpf.map("net_domain_blocks", "uint64_t", "struct net_domain_block")
        self.learned: Map = bpf.map("net_learned", "struct net_address", "struct net_learned")
        self._zero = self._config.key(0)

    def activate(
        self, *, drop_interval_ns: int = DROP_INTERVAL_NS, shortest_denial_ns: int = SHORTEST_DENIAL_NS
    ) -> None:
        """Let the programs work with what the maps hold; maps that were never used hold an empty policy."""
        config = self.config()
        if not config.siphash_key[0]:
            config.siphash_key[0], config.siphash_key[1] = secrets.randbits(64) | 1, secrets.randbits(64)
            for policy in config.policies:
                policy.cidr_default = policy.resolve_default = _VERDICTS["allow"]
                policy.cidr_mode = _MODE_BITS["both"]
        config.drop_interval_ns = drop_interval_ns
        config.shortest_denial_ns = shortest_denial_ns
        config.dns_scratches = 2 * self._bpf.cpus
        config.net_ns = Path("/proc/self/ns/net").stat().st_ino
        self._config.set(self._zero, config)
        self.changed(off=False)

    def config(self) -> Any:
        """Return a copy of the programs' configuration."""
        return self._config.get(self._zero)

    def want_answers(self, wanted: bool) -> None:
        """Have the answers of resolvers sent as records, or not."""
        config = self.config()
        config.dns_records = wanted
        self._config.set(self._zero, config)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one, among threads and processes, that changes blocks; also several times within each other."""
        with self._lock, contextlib.nullcontext() if self._depth else locked(self._shared):
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def changed(self, *, off: bool | None = None) -> None:
        """Let the programs decide anew about every socket; `off` lets them decide nothing, or again."""
        with self.locked():
            now = boottime_ns()
            domains = sum(1 for _, block in self.domain_blocks.entries() if not has_ended(block, now))
            switch = self.switch()
            switch.domain_blocks = domains
            # A clock, not a counter: two who write at once cannot make one of their changes go unseen.
            switch.generation = boottime_ns()
            if off is not None:
                switch.off = off
            self._switch.set(self._zero, switch)

    def switch(self) -> Any:
        """Return a copy of what the programs look at first."""
        return self._switch.get(self._zero)

    @property
    def is_off(self) -> bool:
        """Whether somebody has switched the policy off."""
        return bool(self.switch().off)

    def hash_of(self, domain: str) -> int:
        """Return the number under which the programs know a domain."""
        return self._hash(domain)[0]

    def _hash(self, domain: str) -> tuple[int, int]:
        wire = ffi.new("char[]", wire_name(domain))
        request: Any = ffi.new("struct net_hash_request *")
        request.name = int(ffi.cast("uintptr_t", wire))
        request.length = len(wire) - 1
        code = self._bpf.run("hash_name", request, ffi.sizeof("struct net_hash_request"))
        if code:
            raise ValueError(f"expected a domain, found {domain!r}")
        return int(request.hash), int(request.labels)

    def load(self, policy: PolicySpec, epoch: int) -> dict[int, DomainRule]:
        """Put a policy in force as a whole; return its domains by their hashes. Rules are numbered in their order."""
        config = self.config()
        slot = 1 - (config.active & 1)
        keys4, values4, keys6, values6 = bytearray(), bytearray(), bytearray(), bytearray()
        for number, rule in enumerate(policy.cidrs):
            value = _RULE.pack(number, _VERDICTS[rule.policy], rule.prefix.length, 0)
            if len(rule.prefix.address) == 4:
                keys4 += _PREFIX4.pack(rule.prefix.length, rule.prefix.address)
                values4 += value
            else:
                keys6 += _PREFIX6.pack(rule.prefix.length, rule.prefix.address)
                values6 += value
        self._fill("net_rules4", slot, LPM_TRIE, _PREFIX4.size, keys4, values4)
        self._fill("net_rules6", slot, LPM_TRIE, _PREFIX6.size, keys6, values6)
        hashes, depths = {}, 0
        keys, values = bytearray(), bytearray()
        for number, domain in enumerate(policy.domains):
            hashed, labels = self._hash(domain.domain)
            hashes[hashed] = domain
            depths |= 1 << min(labels, 63)
            keys += hashed.to_bytes(8, "little")
            values += _RULE.pack(number, _VERDICTS[domain.policy], min(labels, 255), 0)
        self._fill("net_domains", slot, HASH, 8, keys, values)
        into = config.policies[slot]
        into.cidr_mode, into.cidr_default = _MODE_BITS[policy.cidr_mode], _VERDICTS[policy.cidr_policy]
        into.resolve_mode, into.resolve_default = _MODE_BITS[policy.resolve_mode], _VERDICTS[policy.resolve_policy]
        into.epoch, into.depths = epoch, depths
        # First all of it, then one word that makes it the one that counts.
        self._config.set(self._zero, config)
        config.active = slot
        self._config.set(self._zero, config)
        self._keep_learned(hashes, policy.resolve_policy)
        self.changed()
        return hashes

    def _fill(self, outer: str, slot: int, kind: int, key_size: int, keys: bytearray, values: bytearray) -> None:
        self._bpf.put_inner(outer, slot, kind, (key_size, _RULE.size), keys, values)

    def _keep_learned(self, hashes: dict[int, DomainRule], default: Verdict) -> None:
        """Forget what was learned by rules that are there no more."""
        denied = {hashed for hashed, rule in hashes.items() if rule.policy == "deny"}
        allowed = hashes.keys() - denied
        if default == "deny":
            denied.add(0)
        by_domain = constant("NET_BY_DOMAIN")
        for key, value in self.learned.entries():
            changed = False
            if value.deny_until and value.deny_source == by_domain and value.deny_rule not in denied:
                value.deny_until, changed = 0, True
            if value.allow_until and value.allow_rule not in allowed:
                value.allow_until, changed = 0, True
            if not value.deny_until and not value.allow_until:
                self.learned.delete(key)
            elif changed:
                self.learned.set(key, value)

    def deny_address(self, address: bytes, hashed: int, until_ns: int | None) -> bool:
        """Deny an address of 16 bytes because of a blocked domain; False if it is denied for so long already."""
        key = self.learned.key({"bytes": address})
        value = self.learned.get(key) or self.learned.value()
        source, end_ns = constant("NET_BY_DOMAIN_BLOCK"), until_ns or _NEVER_NS
        if value.deny_source == source and value.deny_until >= end_ns:
            return False
        value.deny_source, value.deny_rule, value.deny_until = source, hashed, end_ns
        self.learned.set(key, value)
        return True

    def forget_learned(self, hashed: int) -> None:
        """Forget the addresses that were denied by the runtime block of a domain."""
        source = constant("NET_BY_DOMAIN_BLOCK")
        for key, value in self.learned.entries():
            if value.deny_source == source and value.deny_rule == hashed:
                if value.allow_until:
                    value.deny_until = 0
                    self.learned.set(key, value)
                else:
                    self.learned.delete(key)

    def sweep(self) -> None:
        """Take away addresses whose time is up; the programs do not count them any more, but they need room."""
        now = boottime_ns()
        for key, value in self.learned.entries():
            if value.deny_until <= now and value.allow_until <= now:
                self.learned.delete(key)

    def set_guarded(self, networks: Iterable[Prefix]) -> None:
        """Say what neither a block nor an address in an answer may cut off; the first are the most important."""
        wanted = dict.fromkeys(islice((network.mapped for network in networks), _MOST_GUARDED))
        known = {(bytes(key.address.bytes), key.length) for key in self._guarded.walk()}
        for address, length in [prefix for prefix in wanted if prefix not in known]:
            self._guarded.set(self._guarded.key((length, (address,))), self._guarded.value(1))
        for address, length in known - wanted.keys():
            self._guarded.delete(self._guarded.key((length, (address,))))
        if known != wanted.keys():
            self.changed()

    def set_resolvers(self, addresses: Iterable[bytes]) -> None:
        """Say whose answers count."""
        wanted = {Prefix(address, 8 * len(address)).mapped[0] for address in addresses}
        known = {bytes(key.bytes) for key, _ in self._resolvers.entries()}
        for address in known - wanted:
            self._resolvers.delete(self._resolvers.key({"bytes": address}))
        for address in wanted - known:
            self._resolvers.set(self._resolvers.key({"bytes": address}), self._resolvers.value(1))
