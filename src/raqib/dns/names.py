"""The names of addresses, from the DNS answers that this host's processes really got: nobody is asked.

Bounded in entries and in bytes. Whoever asks holds what he was told, and no more than his share of all; where there is
no room left, who holds most loses what he was told longest ago. So who asks without end pushes out his own names.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator
from typing import Final, NamedTuple

from raqib.dns.answer import Answer, parse_answer
from raqib.model.clock import boottime_ns
from raqib.model.process import ProcessKey

MIN_TTL_S: Final = 60
"""Programs go on with an address for a while after its time is up."""
MAX_TTL_S: Final = 86_400
MAX_NAMES: Final = 32
"""So many names of one address are told at most."""

_NS_PER_S: Final = 1_000_000_000
_MAX_ASKERS: Final = 8
_MAX_HOLDERS: Final = 8
_SHARES: Final = 8
"""No holder has more than one of so many parts."""
_FEW_DOMAINS: Final = 16
_ENTRY_BYTES: Final = 700
"""About what an entry takes beside the text of its names."""

Scope = Hashable
"""Whom names are for: a network namespace, or part of one."""
_Place = tuple[Scope, str]
_Key = tuple[Scope, str, str]


class _Entry(NamedTuple):
    names: tuple[str, ...]
    until_ns: int
    askers: tuple[ProcessKey, ...]
    """The latest first."""
    holders: tuple[Hashable, ...]
    """As long as one of them has room for it, it is kept."""

    @property
    def size(self) -> int:
        return _ENTRY_BYTES + sum(map(len, self.names))


class _Held:
    """What one holder was told, the oldest first."""

    __slots__ = ("bytes", "keys")

    def __init__(self) -> None:
        self.keys: OrderedDict[_Key, None] = OrderedDict()
        self.bytes = 0


class Counters(NamedTuple):
    """What became of the messages."""

    answers: int
    not_answers: int
    """Also those that were too broken to say what was asked for."""
    pushed_out: int
    """Entries that had to go before their time."""


def enclosing_domains(name: str) -> Iterator[str]:
    """Yield a name and every domain that it lies in, the longest first."""
    domain = name
    while domain:
        yield domain
        domain = domain.partition(".")[2]


class NameCache:
    """Which names the addresses have, for each scope. May be used from any thread."""

    def __init__(
        self, *, max_entries: int = 65_536, max_bytes: int = 32 << 20, clock: Callable[[], int] = boottime_ns
    ) -> None:
        """`clock` gives CLOCK_BOOTTIME in nanoseconds."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._share = max(1, max_entries // _SHARES)
        self._share_bytes = max_bytes // _SHARES
        self._clock = clock
        self._known: OrderedDict[_Key, _Entry] = OrderedDict()
        self._questions: dict[_Place, OrderedDict[str, None]] = {}
        self._held: dict[Hashable, _Held] = {}
        self._lock = threading.Lock()
        self._bytes = 0
        self._answers = self._not_answers = self._pushed_out = 0

    def __len__(self) -> int:
        return len(self._known)

    @property
    def counters(self) -> Counters:
        """What became of the messages so far."""
        return Counters(self._answers, self._not_answers, self._pushed_out)

    def learn(
        self, payload: bytes, asker: ProcessKey, scope: Scope, timestamp_ns: int, *, holder: Hashable = None
    ) -> Answer | None:
        """Learn from a DNS message that a process received; return it as read, None if it is no answer.

        A scope of 0 is not known: what is heard there counts in all. `holder` is who has it on his account: the process
        itself unless another is named.

        A stub resolver on this host receives the answer first, then who asked it: both are askers, the latter the last.
        """
        answer = parse_answer(payload)
        if answer is None:
            self._not_answers += 1
            return None
        self._answers += 1
        with self._lock:
            for found in answer.found:
                ttl_s = min(max(found.ttl_s, MIN_TTL_S), MAX_TTL_S)
                key = (scope, found.address, answer.question)
                self._put(
                    key, found.names, timestamp_ns + ttl_s * _NS_PER_S, asker, asker if holder is None else holder
                )
        return answer

    def names(self, address: str, scope: Scope = 0, process: ProcessKey | None = None) -> tuple[str, ...]:
        """Return an address's names: of each answer the name that was asked for, then its aliases; the latest first.

        If the process itself asked, only what it asked for: the same address may have other names for others.
        """
        with self._lock:
            entries = list(self._around(scope, address))
        own = [entry for entry in entries if process in entry.askers] if process is not None else []
        names = dict.fromkeys(name for entry in own or entries for name in entry.names)
        return tuple(names)[:MAX_NAMES]

    def askers(self, address: str, scope: Scope = 0) -> tuple[ProcessKey, ...]:
        """Return the processes that got an address by asking, the latest first."""
        with self._lock:
            return tuple(dict.fromkeys(asker for entry in self._around(scope, address) for asker in entry.askers))

    def addresses_below(self, domains: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Return each address that has a name in one of these domains, in any scope, with each such domain.

        Domains are in lower case, without trailing dot.
        """
        if not domains:
            return ()
        # Most names are ruled out by their ends, unless there are too many domains for that.
        ends = tuple(domains) if len(domains) <= _FEW_DOMAINS else ("",)
        found = (
            (address, domain)
            for address, entry in self._all()
            for name in entry.names
            if name.endswith(ends)
            for domain in enclosing_domains(name)
            if domain in domains
        )
        return tuple(dict.fromkeys(found))

    def _all(self) -> Iterator[tuple[str, _Entry]]:
        """Yield each address with what is known of it and not out of date; others need not wait meanwhile."""
        with self._lock:
            keys = list(self._known)
        now_ns = self._clock()
        for key in keys:
            entry = self._known.get(key)
            if entry is not None and entry.until_ns > now_ns:
                yield key[1], entry

    def _around(self, scope: Scope, address: str) -> Iterator[_Entry]:
        """Yield what is known in a scope, then what was heard in one that is not known."""
        yield from self._entries((scope, address))
        if scope:
            yield from self._entries((0, address))

    def _entries(self, place: _Place) -> Iterator[_Entry]:
        """Yield what is known and not out of date, the latest first."""
        now_ns = self._clock()
        for question in reversed(tuple(self._questions.get(place, ()))):
            entry = self._known[*place, question]
            if entry.until_ns > now_ns:
                yield entry
            else:
                self._drop((*place, question))

    def _put(self, key: _Key, names: tuple[str, ...], until_ns: int, asker: ProcessKey, holder: Hashable) -> None:
        before = self._known.get(key)
        askers: tuple[ProcessKey, ...] = (asker,)
        holders: tuple[Hashable, ...] = (holder,)
        if before is not None:
            askers = (asker, *(other for other in before.askers if other != asker))[:_MAX_ASKERS]
            # Who held it before is not displaced by others who ask the same.
            holders = tuple(dict.fromkeys((*before.holders, holder)))[:_MAX_HOLDERS]
            until_ns = max(until_ns, before.until_ns)
            self._weigh(before, -1)
        entry = self._known[key] = _Entry(names, until_ns, askers, holders)
        for sharer in holders:
            self._held.setdefault(sharer, _Held()).keys.setdefault(key)
        self._weigh(entry, 1)
        self._known.move_to_end(key)
        if holder in holders:
            self._held[holder].keys.move_to_end(key)
        questions = self._questions.setdefault(key[:2], OrderedDict())
        questions[key[2]] = None
        questions.move_to_end(key[2])
        self._make_room(key, questions, holder)

    def _make_room(self, latest: _Key, questions: OrderedDict[str, None], holder: Hashable) -> None:
        if len(questions) > MAX_NAMES:
            place = latest[:2]
            own = ((*place, question) for question in questions if self._known[*place, question].holders == (holder,))
            # The latest is the last of all.
            first = next(own, latest)
            self._push_out(first if first != latest else (*place, next(iter(questions))))
        held = self._held.get(holder)
        while held is not None and (
            len(held.keys) > self._share or (held.bytes > self._share_bytes and len(held.keys) > 1)
        ):
            self._release(holder, held)
        while len(self._known) > self._max_entries:
            self._release(*max(self._held.items(), key=lambda entry: len(entry[1].keys)))
        while self._bytes > self._max_bytes:
            self._release(*max(self._held.items(), key=lambda entry: entry[1].bytes))

    def _release(self, holder: Hashable, held: _Held) -> None:
        """Take from a holder what he was told longest ago; it goes if he was the last who held it."""
        key = next(iter(held.keys))
        entry = self._known[key]
        others = tuple(other for other in entry.holders if other != holder)
        if not others:
            self._push_out(key)
            return
        self._weigh(entry, -1)
        self._known[key] = entry = entry._replace(holders=others)
        self._weigh(entry, 1)
        del held.keys[key]
        if not held.keys:
            del self._held[holder]

    def _weigh(self, entry: _Entry, sign: int) -> None:
        self._bytes += sign * entry.size
        for holder in entry.holders:
            self._held[holder].bytes += sign * entry.size

    def _push_out(self, key: _Key) -> None:
        self._pushed_out += 1
        self._drop(key)

    def _drop(self, key: _Key) -> None:
        entry = self._known.pop(key)
        self._weigh(entry, -1)
        questions = self._questions[key[:2]]
        del questions[key[2]]
        if not questions:
            del self._questions[key[:2]]
        for holder in entry.holders:
            held = self._held[holder]
            held.keys.pop(key, None)
            if not held.keys:
                del self._held[holder]
