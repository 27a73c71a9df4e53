"""The names of addresses, from the DNS answers that this host's processes really got: nobody is asked.

Bounded in entries and in bytes; what was heard longest ago goes first. No process can hold more than its share, so that
one that asks without end pushes out its own names.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
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
_FEW_DOMAINS: Final = 16
_ENTRY_BYTES: Final = 700
"""About what an entry takes beside the text of its names."""

_Place = tuple[int, str]
_Key = tuple[int, str, str]


class _Entry(NamedTuple):
    names: tuple[str, ...]
    until_ns: int
    askers: tuple[ProcessKey, ...]
    """The latest first."""

    @property
    def size(self) -> int:
        return _ENTRY_BYTES + sum(map(len, self.names))


class Counters(NamedTuple):
    """What became of the messages."""

    answers: int
    not_answers: int
    """Also those that were too broken to say what was asked for."""
    pushed_out: int
    """Entries that had to go before their time."""


def domains_of(name: str) -> Iterator[str]:
    """Yield a name and every domain that it lies in, the longest first."""
    domain = name
    while domain:
        yield domain
        domain = domain.partition(".")[2]


class NameCache:
    """Which names the addresses have, for each network namespace. May be used from any thread."""

    def __init__(
        self, *, max_entries: int = 65_536, max_bytes: int = 32 << 20, clock: Callable[[], int] = boottime_ns
    ) -> None:
        """`clock` gives CLOCK_BOOTTIME in nanoseconds."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._share = max(1, max_entries // 8)
        self._clock = clock
        self._known: OrderedDict[_Key, _Entry] = OrderedDict()
        self._questions: dict[_Place, OrderedDict[str, None]] = {}
        self._asked: dict[ProcessKey, OrderedDict[_Key, None]] = {}
        self._lock = threading.Lock()
        self._bytes = 0
        self._answers = self._not_answers = self._pushed_out = 0

    def __len__(self) -> int:
        return len(self._known)

    @property
    def counters(self) -> Counters:
        """What became of the messages so far."""
        return Counters(self._answers, self._not_answers, self._pushed_out)

    def take(self, payload: bytes, asker: ProcessKey, net_ns: int, timestamp_ns: int) -> Answer | None:
        """Learn from a DNS message that a process received; return it as read, None if it is no answer.

        A namespace of 0 is not known: what is heard there counts in all.

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
                key = (net_ns, found.address, answer.question)
                self._put(key, found.names, timestamp_ns + ttl_s * _NS_PER_S, asker)
        return answer

    def names(self, address: str, net_ns: int = 0, process: ProcessKey | None = None) -> tuple[str, ...]:
        """Return an address's names: of each answer the name that was asked for, then its aliases; the latest first.

        If the process itself asked, only what it asked for: the same address may have other names for others.
        """
        with self._lock:
            entries = list(self._around(net_ns, address))
        own = [entry for entry in entries if process in entry.askers] if process is not None else []
        names = dict.fromkeys(name for entry in own or entries for name in entry.names)
        return tuple(names)[:MAX_NAMES]

    def askers(self, address: str, net_ns: int = 0) -> tuple[ProcessKey, ...]:
        """Return the processes that got an address by asking, the latest first."""
        with self._lock:
            return tuple(dict.fromkeys(asker for entry in self._around(net_ns, address) for asker in entry.askers))

    def addresses_below(self, domains: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Return each address that has a name in one of these domains, in any namespace, with each such domain.

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
            for domain in domains_of(name)
            if domain in domains
        )
        return tuple(dict.fromkeys(found))

    def forget(self, process: ProcessKey) -> None:
        """Let a process that has ended count no more; what it asked for stays until its time is up."""
        with self._lock:
            self._asked.pop(process, None)

    def _all(self) -> Iterator[tuple[str, _Entry]]:
        """Yield each address with what is known of it and not out of date; others need not wait meanwhile."""
        with self._lock:
            keys = list(self._known)
        now_ns = self._clock()
        for key in keys:
            entry = self._known.get(key)
            if entry is not None and entry.until_ns > now_ns:
                yield key[1], entry

    def _around(self, net_ns: int, address: str) -> Iterator[_Entry]:
        """Yield what is known in a namespace, then what was heard in one that is not known."""
        yield from self._entries((net_ns, address))
        if net_ns:
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

    def _put(self, key: _Key, names: tuple[str, ...], until_ns: int, asker: ProcessKey) -> None:
        before = self._known.get(key)
        askers: tuple[ProcessKey, ...] = (asker,)
        if before is not None:
            askers = (asker, *(one for one in before.askers if one != asker))
            until_ns = max(until_ns, before.until_ns)
            self._bytes -= before.size
            self._disown(askers[_MAX_ASKERS:], key)
            askers = askers[:_MAX_ASKERS]
        entry = self._known[key] = _Entry(names, until_ns, askers)
        self._known.move_to_end(key)
        self._bytes += entry.size
        questions = self._questions.setdefault(key[:2], OrderedDict())
        questions[key[2]] = None
        questions.move_to_end(key[2])
        own = self._asked.setdefault(asker, OrderedDict())
        own[key] = None
        own.move_to_end(key)
        if len(questions) > MAX_NAMES:
            self._push_out((*key[:2], next(iter(questions))))
        if len(own) > self._share:
            self._push_out(next(iter(own)))
        while len(self._known) > self._max_entries or self._bytes > self._max_bytes:
            self._push_out(next(iter(self._known)))

    def _push_out(self, key: _Key) -> None:
        self._pushed_out += 1
        self._drop(key)

    def _drop(self, key: _Key) -> None:
        entry = self._known.pop(key)
        self._bytes -= entry.size
        questions = self._questions[key[:2]]
        del questions[key[2]]
        if not questions:
            del self._questions[key[:2]]
        self._disown(entry.askers, key)

    def _disown(self, askers: Iterable[ProcessKey], key: _Key) -> None:
        for asker in askers:
            own = self._asked.get(asker)
            if own is not None:
                own.pop(key, None)
                if not own:
                    del self._asked[asker]
