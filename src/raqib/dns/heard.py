"""What is known of addresses' names, by who said it.

What this host's resolvers say holds for a network namespace. What the resolvers of a mount namespace say holds for the
processes in it; whoever made it could choose them. What any other server says holds for the user who asked it, in his
network and mount namespace: within that he can deceive only himself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from typing import Final, NamedTuple

from raqib.dns.names import MAX_NAMES, NameCache
from raqib.dns.resolver_files import ResolverFiles
from raqib.model.clock import boottime_ns
from raqib.model.flow import Named
from raqib.model.process import Process, ProcessKey

MOST_WAITING: Final = 64
"""Answers of one namespace that are judged again once its resolvers are known; of few namespaces at once."""
_HOLDERS: Final = 256
_FOREIGN_ENTRIES: Final = 32_768
_FOREIGN_BYTES: Final = 16 << 20


class HeardAnswer(NamedTuple):
    """An answer as it came."""

    message: bytes
    asker: Process
    server: str
    net_ns: int
    timestamp_ns: int


class Heard:
    """Hears answers and knows names. Belongs to one thread; `sure` may be used from any."""

    def __init__(self, files: ResolverFiles, *, clock: Callable[[], int] = boottime_ns) -> None:
        """`files` knows the resolvers of mount namespaces; `clock` gives CLOCK_BOOTTIME in nanoseconds."""
        self._files = files
        self.sure = NameCache(clock=clock)
        """What this host's resolvers said: the policy uses this alone."""
        self._foreign = NameCache(max_entries=_FOREIGN_ENTRIES, max_bytes=_FOREIGN_BYTES, clock=clock)
        self._salt = random.SystemRandom().getrandbits(64)
        self._waiting: dict[int, list[HeardAnswer]] = {}

    def learn_sure(
        self, message: bytes, asker: Process | None, key: ProcessKey, net_ns: int, timestamp_ns: int
    ) -> None:
        """Learn from an answer of a resolver of this host; `asker` is the process with that key, if it is known."""
        self.sure.learn(message, key, net_ns, timestamp_ns, holder=key if asker is None else self._holder(asker))

    def learn(self, told: HeardAnswer, *, listed: bool) -> None:
        """Learn from an answer of another server; `listed` is one at the address of a resolver of this host."""
        mnt_ns = told.asker.namespaces.mnt_ns
        if not mnt_ns or not told.net_ns:
            return  # nobody knows for whom that would hold
        is_resolver = listed or told.server in self._files.resolvers(mnt_ns)
        self._put(told, (_by_namespace if is_resolver else _by_user)(told.asker, told.net_ns))
        being_read = self._files.refresh(told.asker.pid, mnt_ns, told.asker.uid, lambda: self._judge_again(mnt_ns))
        if being_read and not is_resolver:
            waiting = self._waiting.setdefault(mnt_ns, [])
            if len(waiting) < MOST_WAITING:
                waiting.append(told)

    @property
    def unread(self) -> int:
        """How often a namespace's resolvers were not read because too many others were being read."""
        return self._files.refused

    def names(self, address: str, net_ns: int, process: Process) -> Named:
        """Return the names of an address for a process in a network namespace."""
        sure = self.sure.names(address, net_ns, process.key)
        of_namespace = self._foreign.names(address, _by_namespace(process, net_ns), process.key)
        of_user = self._foreign.names(address, _by_user(process, net_ns))
        hearsay = tuple(dict.fromkeys(name for name in (*of_namespace, *of_user) if name not in sure))[:MAX_NAMES]
        if not hearsay:
            return Named(sure)
        unlisted = any(name not in of_namespace for name in hearsay)
        return Named((*sure, *hearsay), hearsay, "unlisted" if unlisted else "resolver")

    def _judge_again(self, mnt_ns: int) -> None:
        resolvers = self._files.resolvers(mnt_ns)
        for told in self._waiting.pop(mnt_ns, ()):
            if told.server in resolvers:
                self._put(told, _by_namespace(told.asker, told.net_ns))

    def _put(self, told: HeardAnswer, scope: Hashable) -> None:
        self._foreign.learn(told.message, told.asker.key, scope, told.timestamp_ns, holder=self._holder(told.asker))

    def _holder(self, process: Process) -> int:
        """Return on whose account a process asks: a user's, or for root a cgroup's, which only root can make.

        So many numbers that it does not take long to go through them, and nobody knows whose is the same as another's.
        """
        return hash((self._salt, process.uid or ("cgroup", process.cgroup_id))) % _HOLDERS


def _by_namespace(process: Process, net_ns: int) -> Hashable:
    return net_ns, process.namespaces.mnt_ns


def _by_user(process: Process, net_ns: int) -> Hashable:
    return net_ns, process.namespaces.mnt_ns, process.uid
