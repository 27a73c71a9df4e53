"""Runtime blocks: entries of the kernel's maps, each with an owner, a reason and perhaps an end that the kernel knows.

The maps are all that there is: a restarted daemon and the command line see the same blocks.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Literal

import msgspec
import structlog

from raqib.errors import RefusedError
from raqib.kernel.layout import constant, ffi
from raqib.kernel.maps import Map
from raqib.model.clock import boot_offset_ns, boottime_ns, epoch_of_boot, rfc3339
from raqib.netpolicy.guards import Guards
from raqib.netpolicy.spec import Prefix, domain_of, prefix_of
from raqib.netpolicy.tables import Tables, has_ended

ADMINISTRATOR = "administrator"
"""The owner of what the command line blocks; nobody else takes it off."""


Resolved = Callable[[Collection[str]], Iterable[tuple[str, str]]]
"""Finds the addresses that names in some domains were resolved to, each with its domain."""


class Block(msgspec.Struct, frozen=True):
    """A runtime block in force; times are CLOCK_BOOTTIME in nanoseconds."""

    kind: Literal["network", "domain"]
    target: str
    owner: str
    reason: str
    created_ns: int
    id: int
    end_ns: int | None = None
    created_epoch_ns: int = 0
    """When it was made, as the calendar said then: nanoseconds since the epoch."""
    renewals: int = 0
    """How often its end was put off."""

    @property
    def created(self) -> str:
        """RFC 3339, as ledger and log of that moment have it."""
        return rfc3339(self.created_epoch_ns)

    @property
    def end(self) -> str | None:
        """RFC 3339, by the calendar as it is now; None if it has none."""
        if self.end_ns is None:
            return None
        return rfc3339(epoch_of_boot(self.end_ns, self.created_epoch_ns - self.created_ns))


class Blocks:
    """May be used from any thread."""

    def __init__(
        self,
        tables: Tables,
        guards: Guards,
        on_forbidden: Callable[[], object] = lambda: None,
        resolved: Resolved = lambda _: (),
    ) -> None:
        """`on_forbidden` is called whenever something has become forbidden that was not."""
        self._tables = tables
        self.guards = guards
        self._on_forbidden = on_forbidden
        self._resolved = resolved
        self._caught_up: set[tuple[int, int]] = set()
        self._log = structlog.get_logger()

    def block(self, network: str, *, owner: str, reason: str, until_ns: int | None = None) -> bool:
        """Block an address or a network; True if just this one was not blocked.

        `until_ns` is CLOCK_BOOTTIME; a block that is there already is prolonged if this one ends later.

        Raises:
            RefusedError: a guard forbids it.
            RaqibError: the kernel refuses it.
        """
        prefix = self.guards.network(network)
        key = self._key(prefix)
        return self._put(self._tables.blocks, key, owner, reason, until_ns, {"length": key.length})

    def block_domain(self, domain: str, *, owner: str, reason: str, until_ns: int | None = None) -> bool:
        """Block a domain, everything below it, and the addresses that they resolve to, also those known before.

        See `block`.
        """
        name = self.guards.domain(domain)
        key = self._tables.domain_blocks.key(self._tables.hash_of(name))
        new = self._put(self._tables.domain_blocks, key, owner, reason, until_ns, {"domain": name.encode()})
        # Only now: from here on the programs themselves learn from answers.
        self._deny_resolved({name})
        return new

    def catch_up(self) -> None:
        """Deny what domains were resolved to before somebody else blocked them: a command knows no names."""
        living = self._living_domains()
        # An address that was denied because of a block that has gone may have names in other blocked domains.
        known = set() if self._caught_up - living.keys() else self._caught_up
        self._deny_resolved({living[which] for which in living.keys() - known})
        self._caught_up = set(living)

    def _living_domains(self) -> dict[tuple[int, int], str]:
        """Return the blocked domains by number and end of their blocks."""
        now = boottime_ns()
        entries = self._tables.domain_blocks.entries()
        return {(one.id, one.end_ns): _text(one.domain) for _, one in entries if not has_ended(one, now)}

    def _deny_resolved(self, domains: Collection[str]) -> None:
        found = [(prefix, domain) for text, domain in self._resolved(domains) if (prefix := self._blockable(text))]
        with self._tables.locked():
            denied = sum(self._deny(prefix, domain) for prefix, domain in found)
            if denied:
                self._tables.changed()
        if denied:
            self._on_forbidden()

    def _blockable(self, address: str) -> Prefix | None:
        try:
            return self.guards.network(address)
        except RefusedError as error:
            self._log.warning("an address of a blocked domain stays reachable", problem=str(error))
            return None

    def _deny(self, prefix: Prefix, domain: str) -> bool:
        """Deny an address for as long as its domain is blocked, which it may be no more."""
        hashed = self._tables.hash_of(domain)
        block = self._tables.domain_blocks.get(self._tables.domain_blocks.key(hashed))
        if block is None or has_ended(block, boottime_ns()):
            return False
        return self._tables.deny_address(prefix.mapped[0], hashed, block.end_ns or None)

    def has_domain(self, domains: Iterable[str]) -> bool:
        """Tell whether one of these domains, which may be no domains, is blocked itself."""
        now = boottime_ns()
        for domain in domains:
            try:
                hashed = self._tables.hash_of(domain_of(domain))
            except ValueError:
                continue
            found = self._tables.domain_blocks.get(self._tables.domain_blocks.key(hashed))
            if found is not None and not has_ended(found, now):
                return True
        return False

    def _put(self, table: Any, key: Any, owner: str, reason: str, until_ns: int | None, more: dict[str, Any]) -> bool:
        now = boottime_ns()
        with self._tables.locked():
            known = table.get(key)
            if known is not None and self._is_other(known, key):
                known = None
            lives = known is not None and not has_ended(known, now)
            if lives:
                if not known.end_ns or (until_ns is not None and known.end_ns >= until_ns):
                    return False
                known.end_ns = until_ns or 0
                known.renewals += 1
                table.set(key, known)
                self._tables.changed()
                return False
            value = table.value(more)
            value.id = secrets.randbits(32) or 1
            value.created_ns, value.created_epoch_ns = now, now + boot_offset_ns()
            value.end_ns = until_ns or 0
            value.owner = _cut(owner, constant("BLOCK_OWNER_BYTES"))
            value.reason = _cut(reason, constant("BLOCK_REASON_BYTES"))
            table.set(key, value)
            self._tables.changed()
        self._on_forbidden()
        return True

    @staticmethod
    def _is_other(known: Any, key: Any) -> bool:
        """A trie answers with the longest prefix, which may be shorter than the one asked for."""
        return hasattr(known, "length") and known.length != key.length

    def unblock(self, network: str, *, by: str) -> bool:
        """Take a block off; False if just this network was not blocked.

        Raises:
            RefusedError: an administrator blocked it, and `by` is none; or it is no network.
        """
        try:
            key = self._key(prefix_of(network.strip()))
        except ValueError as error:
            raise RefusedError(str(error)) from error
        return self._take(self._tables.blocks, key, by)

    def unblock_domain(self, domain: str, *, by: str) -> bool:
        """Take the block of a domain off, and those of the addresses that came of it; see `unblock`."""
        try:
            hashed = self._tables.hash_of(domain_of(domain))
        except ValueError as error:
            raise RefusedError(str(error)) from error
        taken = self._take(self._tables.domain_blocks, self._tables.domain_blocks.key(hashed), by)
        if taken:
            self._tables.forget_learned(hashed)
            self._tables.changed()
            self._deny_resolved(set(self._living_domains().values()))
        return taken

    def _take(self, table: Map, key: Any, by: str) -> bool:
        with self._tables.locked():
            known = table.get(key)
            if known is None or self._is_other(known, key):
                return False
            lives = not has_ended(known, boottime_ns())
            if lives and by != ADMINISTRATOR and _text(known.owner) == ADMINISTRATOR:
                raise RefusedError("expected a block of a recipe, found one of an administrator: raqib blocks remove")
            table.delete(key)
            self._tables.changed()
            return lives

    def list(self) -> tuple[Block, ...]:
        """Return the blocks in force, the oldest first; those that have ended are taken away."""
        self.sweep()
        with self._tables.locked():
            found = [self._block(*entry) for table in self._both for entry in self._entries(table)]
        return tuple(sorted(found, key=lambda block: block.created_ns))

    def counts(self) -> dict[str, int]:
        """Return how many networks and domains are blocked, and how many of these blocks end by themselves.

        There may be tens of thousands, so nobody is kept waiting meanwhile, and it is no matter for an event loop.
        """
        now = boottime_ns()
        living = [[one for _, one in self._entries(table) if not has_ended(one, now)] for table in self._both]
        networks, domains = map(len, living)
        ending = sum(1 for blocks in living for block in blocks if block.end_ns)
        return {"networks": networks, "domains": domains, "ending": ending}

    def find(self, target: str) -> Block | None:
        """Return the block in force of just this network or domain, in whichever form it is written."""
        try:
            table, key = self._tables.blocks, self._key(prefix_of(target.strip()))
        except ValueError:
            try:
                table = self._tables.domain_blocks
                key = table.key(self._tables.hash_of(domain_of(target)))
            except ValueError:
                return None
        found = table.get(key)
        if found is None or self._is_other(found, key) or has_ended(found, boottime_ns()):
            return None
        return self._block(key, found)

    def sweep(self) -> None:
        """Take away what has ended: it needs room, and names are looked at as long as a domain is blocked."""
        now = boottime_ns()
        # There may be tens of thousands: nobody is kept waiting while they are looked for.
        ended = [(table, key) for table in self._both for key, value in self._entries(table) if has_ended(value, now)]
        if not ended:
            return
        with self._tables.locked():
            if sum(self._delete_ended(table, key, now) for table, key in ended):
                self._tables.changed()

    def _delete_ended(self, table: Map, key: Any, now_ns: int) -> bool:
        """Delete an entry if it still has ended: it may have been prolonged, or put there anew."""
        value = table.get(key)
        return (
            value is not None
            and not self._is_other(value, key)
            and has_ended(value, now_ns)
            and bool(table.delete(key))
        )

    @property
    def _both(self) -> tuple[Map, Map]:
        return self._tables.blocks, self._tables.domain_blocks

    @staticmethod
    def _entries(table: Map) -> Iterator[tuple[Any, Any]]:
        for key in table.walk():
            value = table.get(key)
            if value is not None:
                yield key, value

    def _block(self, key: Any, value: Any) -> Block:
        is_network = hasattr(value, "length")
        return Block(
            kind="network" if is_network else "domain",
            target=_network_text(key) if is_network else _text(value.domain),
            owner=_text(value.owner),
            reason=_text(value.reason),
            created_ns=value.created_ns,
            id=value.id,
            end_ns=value.end_ns or None,
            created_epoch_ns=value.created_epoch_ns,
            renewals=value.renewals,
        )

    def clear(self) -> int:
        """Take all blocks off; return their number."""
        gone = 0
        with self._tables.locked():
            for table in self._both:
                for key, _ in self._entries(table):
                    gone += table.delete(key)
            for key in self._tables.learned.walk():
                self._tables.learned.delete(key)
            self._tables.changed()
        return gone

    def _key(self, prefix: Prefix) -> Any:
        address, length = prefix.mapped
        return self._tables.blocks.key({"length": length, "address": {"bytes": address}})


def _network_text(key: Any) -> str:
    return Prefix.of_mapped(bytes(key.address.bytes), key.length).text


def _cut(text: str, size: int) -> bytes:
    """Return text that fits, with the final zero, and ends with a whole character."""
    return text.encode()[: size - 1].decode(errors="ignore").encode()


def _text(raw: Any) -> str:
    return bytes(ffi.buffer(raw)).partition(b"\0")[0].decode(errors="replace")
