"""The file sensor: what processes do to files, from the kernel's event core."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from raqib.errors import RaqibError
from raqib.kernel.layout import constant, ffi
from raqib.kernel.object import HOOKS, BpfObject
from raqib.kernel.ring import Ring
from raqib.model.actions import NO_ACTIONS, FileAction, union
from raqib.model.clock import boottime_ns
from raqib.model.observation import FileObservation
from raqib.model.process import Process, ProcessKey
from raqib.sensors.accounts import OTHERS, Accounts, Lost
from raqib.sensors.decode import Record
from raqib.sensors.interests import Hint, Interests, Teacher
from raqib.sensors.objects import Objects
from raqib.sensors.processes import ProcessTable
from raqib.sensors.removals import GONE, Removals
from raqib.sensors.resolve import Giver, Resolver, by_letters

__all__ = ["Accessed", "FileSensor", "Hint", "Interests"]

_AS_GIVEN, _FOLLOW, _DELETED = constant("RECORD_AS_GIVEN"), constant("RECORD_FOLLOW"), constant("RECORD_DELETED")
_TRUNCATED, _UNDECIDED = constant("RECORD_PATH_TRUNCATED"), constant("RECORD_UNDECIDED")
_WAITS, _HOST = constant("RECORD_WAITS"), constant("RECORD_HOST")

_MOST_PATHS = 8192
_MOST_TOLD = 4096
_MOST_CUT = 64
"""Users whose names were cut, each told of by itself."""
_LOST = ("lost_watched", "lost_name", "lost_budget")
_RECORDS_BEFORE_REMOVALS = 4096
_LOOKED_AT = 16
"""So many entries of `watched` are looked at for each that may be delivered in one portion."""


class Accessed(NamedTuple):
    """A file that a process did something to."""

    path: bytes
    actions: FileAction


class _Followed(NamedTuple):
    """Where a name led."""

    path: bytes
    aliases: tuple[bytes, ...]
    host_path: bytes
    as_given: bool
    """It cannot be told; the path is the name."""

    @property
    def all(self) -> tuple[bytes, ...]:
        return (self.path, *self.aliases, self.host_path) if self.host_path else (self.path, *self.aliases)


def _ignore(seen: FileObservation) -> None:
    pass


class FileSensor:
    """Hooks, maps and records.

    Belongs to one thread: what the daemon asks the kernel for is worked out in memory that is there once.
    """

    def __init__(self, sizes: Mapping[str, int] | None = None) -> None:
        """Load the programs; nothing is seen before `start`."""
        self._hand_over: Callable[[FileObservation], None] = _ignore
        self._bpf = BpfObject(sizes)
        self.processes = ProcessTable(self._bpf)
        """What is known of processes, for whoever asks."""
        self._accesses = self._bpf.map("accesses", "struct access_key", "struct access")
        self._watched = self._bpf.map("watched", "struct access_key", "struct watched")
        self._paths = self._bpf.map("paths", "uint64_t", "struct context_path")
        self._listings = self._bpf.map("listings", "uint32_t", "struct listing")
        self._counters = self._bpf.map(".data.counters", "uint32_t", "struct counters")
        self._zero = self._counters.key(0)
        self._resolver = Resolver()
        self._ring = Ring(self._bpf, "records", "struct record", self._receive)
        self._interest: Callable[[bytes], FileAction] = lambda name: NO_ACTIONS
        self._swept = 0
        self._sweeping: Iterator[tuple[Any, Any]] | None = None
        self._known_paths: dict[int, bytes] = {}
        self._lost_texts = 0
        self._cut: dict[int, Lost] = {}
        self._told: dict[tuple[int, int], int] = {}
        self._accounts = Accounts(self._bpf)
        self._lost_before = 0
        self.agent = self._identify()
        self._teacher = Teacher(self._bpf, self.agent)
        self._objects = Objects(self._bpf)
        self._removals = Removals(self.agent.pid)

    def _identify(self) -> ProcessKey:
        key: Any = ffi.new("struct process_key *")
        self._bpf.run("identify", key, ffi.sizeof("struct process_key"))
        return ProcessKey(key.pid, key.start_ns)

    def set_interests(self, interests: Interests) -> None:
        """Teach the kernel what the recipes want; verdicts of before end.

        Raises RaqibError if there is no room for them: then those of before stay.
        """
        self._teacher.teach(interests)
        self._interest = interests.interest
        named = [hint for hint in interests.hints if hint.kind != "base"]
        self._objects.watch((hint.value for hint in named), (_directory(hint) for hint in named if hint.actions & GONE))
        self.processes.set_environments_kept(interests.environments)

    def start(self, observe: Callable[[FileObservation], None]) -> None:
        """Attach every hook, then take in the processes that were there before.

        `observe` gets every observation in which some recipe may be interested.
        """
        self._hand_over = observe
        for hook in HOOKS:
            self._bpf.attach(hook)
        self._bpf.iterate("existing_processes")

    def fileno(self) -> int:
        """Return a descriptor that is readable while records wait."""
        return self._ring.fileno()

    def consume(self, most: int | None = None) -> int:
        """Hand over what waits, but no more than `most` records; return their number."""
        return self._ring.consume(most)

    def accessed(self, key: ProcessKey) -> list[Accessed]:
        """Return what a process did to which files, the newest first, as far as the kernel remembers: some 1000."""
        request: Any = ffi.new("struct list_request *", {"process": {"pid": key.pid, "start_ns": key.start_ns}})
        self._bpf.run("list_accessed", request, ffi.sizeof("struct list_request"))
        found: list[Accessed] = []
        visited: set[int] = set()
        listing: Any = self._listings.get(self._zero)
        for number in range(request.count):
            one = listing.files[number]
            if one.file in visited:
                break
            visited.add(one.file)
            path = self._path(one.file)
            if path is not None:
                found.append(Accessed(path, FileAction(one.actions)))
        return found

    def _path(self, file: int) -> bytes | None:
        """Return the path with a hash, if it is known and not too long."""
        path = self._known_paths.get(file)
        if path is None:
            raw = self._paths.get(self._paths.key(file))
            if raw is None or raw.len > len(raw.path):
                return None
            path = bytes(ffi.buffer(raw.path, raw.len))
            if len(self._known_paths) >= _MOST_PATHS:
                self._known_paths.clear()
            self._known_paths[file] = path
        return path

    def counters(self) -> dict[str, int]:
        """Return the kernel side's counters by name.

        And `lost_text`: long names no longer whole when delivered; `unfollowed`: names not followed in time.
        """
        raw = self._counters.get(self._zero)
        counters = {name: getattr(raw, name) for name, _ in ffi.typeof("struct counters").fields or ()}
        return counters | {"lost_text": self._lost_texts, "unfollowed": self._resolver.unfollowed}

    def lost(self) -> list[Lost]:
        """Return what was lost since this was last asked, and of whom."""
        found = [
            Lost("unfollowed_names", latest.user, count, latest.key)
            for count, latest in self._resolver.take_unfollowed()
        ]
        found += self._cut.values()
        self._cut = {}
        if overflows := self._objects.overflows():
            # It is not told whose they were.
            found.append(Lost("removals", OTHERS, overflows, ProcessKey(0, 0)))
        lost = sum(value for name, value in self.counters().items() if name in _LOST)
        if lost != self._lost_before:
            self._lost_before = lost
            found += self._accounts.lost()
        return found

    def heaviest(self) -> tuple[ProcessKey, int, int] | None:
        """Return the process of which most records were taken in since this was last asked, how many, and of others."""
        told, self._told = self._told, {}
        if not told:
            return None
        (pid, start_ns), count = max(told.items(), key=lambda one: one[1])
        return ProcessKey(pid, start_ns), count, sum(told.values()) - count

    @property
    def sweeping(self) -> bool:
        """Whether the last sweep ended before it had seen everything."""
        return self._sweeping is not None

    def sweep(self, most: int | None = None) -> int:
        """Deliver what did not fit into the ring buffer when it happened; return the number of files.

        No more than `most`: then the next call goes on from there.
        """
        if self._sweeping is None:
            self._objects.refresh()
            self._removals.gather(self._objects.changes())
            pending = self.counters()["pending"]
            if pending == self._swept:
                return self._add_removals(most)
            self._swept = pending
            self._sweeping = self._watched.entries()
        count = 0
        for looked_at, (key, entry) in enumerate(self._sweeping, 1):
            fresh = FileAction(entry.actions & entry.interest & ~entry.reported)
            if fresh or entry.flags & _WAITS:
                count += 1
                self._deliver_pending(key, entry, fresh)
            if most is not None and (count >= most or looked_at >= most * _LOOKED_AT):
                return count
        self._sweeping = None
        return count + self._add_removals(most)

    def _add_removals(self, most: int | None) -> int:
        """Tell what was removed from directories that recipes name, where the hooks were told another name."""
        if self._removals.waiting:
            self.consume(_RECORDS_BEFORE_REMOVALS)  # what the hooks tell of them is there by now
        missed = self._removals.missed(most, self._interest)
        keys = self.processes.newest({change.pid for change in missed})
        for change in missed:
            key = keys.get(change.pid, ProcessKey(change.pid, 0))
            self._hand_over(
                FileObservation(
                    process=self.processes.find(key) or Process(key=key),
                    path=change.path,
                    actions=change.actions,
                    new=change.actions,
                    timestamp_ns=boottime_ns(),
                    lost=self.processes.lost_of(key),
                )
            )
        return len(missed)

    def close(self) -> None:
        """Detach everything."""
        self._objects.close()
        self._ring.close()
        self._bpf.close()

    def _observe(self, seen: FileObservation) -> None:
        self._removals.told(seen)
        self._hand_over(seen)

    def _count(self, key: Any) -> None:
        place = (key.pid, key.start_ns)
        if place in self._told or len(self._told) < _MOST_TOLD:
            self._told[place] = self._told.get(place, 0) + 1

    def _receive(self, raw: Any) -> None:
        self._count(raw.process.key)
        record = Record(raw, self.processes.text)
        if record.flags & _AS_GIVEN:
            seen = record.observation()
            names = self._follow(seen, raw.process.tally.account, record.flags)
            if seen.new & self._interest_of(names.all):
                self._observe_followed(seen, names)
            return
        interest = NO_ACTIONS
        undecided = bool(record.flags & _UNDECIDED)
        for hash_, name in record.names():
            meaning = self._interest(name)
            interest |= meaning
            if undecided and not record.flags & _TRUNCATED:
                self._teacher.teach_verdict(hash_, meaning, raw.generation)
        if not FileAction(raw.actions) & interest:
            return
        seen = record.observation()
        if undecided and not record.flags & _TRUNCATED:
            # Whoever watched it for a name that may matter did not remember it for certain.
            seen = self._watch_from_now(seen, interest)
        self._observe(seen)

    def _watch_from_now(self, seen: FileObservation, interest: FileAction) -> FileObservation:
        """Have the kernel remember from now on what a process does to a file that matters."""
        total = self._merge(seen.process.key, seen.path, seen.actions, interest, told=seen.new)
        return replace(seen, actions=total) if total != seen.actions else seen

    def _follow(self, seen: FileObservation, account: int, flags: int) -> _Followed:
        """Find out where a name led, on somebody's account."""
        giver = Giver(seen.process.key, seen.process.namespaces.mnt_ns, account)
        named, path = by_letters(seen.path), None
        if not flags & _TRUNCATED:
            path = self._resolver.resolve(seen.path, giver, follow=bool(flags & _FOLLOW))
        if path is None:
            host = by_letters(seen.host_path) if seen.host_path else b""
            return _Followed(named, seen.aliases, host, as_given=True)
        aliases = seen.aliases if path == named else (named, *seen.aliases)
        return _Followed(path, aliases, self._host_path(path, giver), as_given=False)

    def _host_path(self, path: bytes, giver: Giver) -> bytes:
        """Return what the host calls a path of a process, if that is known and another one."""
        directory, _, base = path.rpartition(b"/")
        fd = self._resolver.open_cached(directory or b"/", giver)
        if fd is None:
            return b""
        try:
            found = self._objects.locate(fd)
        finally:
            os.close(fd)
        host = found.rstrip(b"/") + b"/" + base if found else b""
        return b"" if host == path else host

    def _observe_followed(self, seen: FileObservation, names: _Followed) -> None:
        """Join what the process has done to that file before, and what it will do."""
        total = self._merge(seen.process.key, names.path, seen.new, self._interest_of(names.all), told=seen.new)
        self._observe(
            replace(
                seen,
                path=names.path,
                aliases=names.aliases,
                host_path=names.host_path,
                as_given=names.as_given,
                actions=seen.actions | total,
            )
        )

    def _interest_of(self, names: Iterable[bytes]) -> FileAction:
        return union(map(self._interest, names))

    def _merge(
        self, key: ProcessKey, path: bytes, actions: FileAction, interest: FileAction, *, told: FileAction
    ) -> FileAction:
        """Add to what the kernel knows of a process and a file; return all of it."""
        if len(path) >= constant("PATH_BYTES"):
            return actions
        text = ffi.from_buffer(path)
        request: Any = ffi.new("struct merge_request *")
        request.process.pid, request.process.start_ns = key.pid, key.start_ns
        request.path, request.path_len = int(ffi.cast("uintptr_t", text)), len(path)
        request.actions, request.interest, request.told = int(actions), int(interest), int(told)
        code = self._bpf.run("merge", request, ffi.sizeof("struct merge_request"))
        if code:
            raise RaqibError(f"expected the kernel to take a path of {len(path)} bytes, found {os.strerror(-code)}")
        return FileAction(request.total)

    def _deliver_pending(self, key: Any, entry: Any, fresh: FileAction) -> None:
        as_given, waits = bool(entry.flags & _AS_GIVEN), bool(entry.flags & _WAITS)
        actions = self._settle(key, fresh, forget=as_given or waits) | FileAction(entry.actions)
        fresh |= FileAction(actions & entry.interest & ~entry.reported)
        self._count(key.process)
        host, inside = bool(entry.flags & _HOST), self._name(entry.inside) or b""
        identity = ProcessKey(key.process.pid, key.process.start_ns)
        seen = FileObservation(
            # Of one that is forgotten, whose account it was on is still known.
            process=self.processes.find(identity) or Process(key=identity, uid=entry.account),
            path=self._name(entry.path) or b"",
            aliases=tuple(name for name in (self._name(entry.used), b"" if host else inside) if name),
            host_path=inside if host else b"",
            actions=actions,
            new=fresh,
            timestamp_ns=entry.timestamp_ns,
            as_given=as_given,
            deleted=bool(entry.flags & _DELETED),
            lost=self.processes.lost_of(identity),
        )
        if as_given:
            names = self._follow(seen, entry.account, entry.flags)
            if fresh & self._interest_of(names.all):
                self._observe_followed(seen, names)
            return
        interest = self._interest_of(seen.names)
        if waits and not entry.flags & _TRUNCATED:
            for name in (entry.path, entry.used, entry.inside):
                if name.hash and name.len <= len(name.text):  # a longer one may have been cut meanwhile
                    self._teacher.teach_verdict(name.hash, self._interest(self._name(name) or b""), entry.generation)
            if seen.actions & interest:
                seen = self._watch_from_now(seen, interest)
        if seen.actions & interest:
            self._observe(seen)
        elif self._is_cut(entry):
            self._count_cut(entry.account, identity)

    def _is_cut(self, entry: Any) -> bool:
        """Tell whether one of the names is no longer whole, so that nobody knows what it meant."""
        names = (entry.path, entry.used, entry.inside)
        return any(name.hash and name.len > len(name.text) and self.processes.text(name.hash) is None for name in names)

    def _count_cut(self, user: int, key: ProcessKey) -> None:
        if user not in self._cut and len(self._cut) >= _MOST_CUT:
            user = OTHERS
        before = self._cut.get(user)
        self._cut[user] = Lost("cut_names", user, 1 if before is None else before.count + 1, key)

    def _settle(self, key: Any, reported: FileAction, *, forget: bool) -> FileAction:
        """Tell the kernel what of an entry is delivered now, or that it only waited; return what waited meanwhile."""
        request: Any = ffi.new("struct settle_request *")
        request.key, request.reported, request.forget = key[0], int(reported), forget
        self._bpf.run("settle", request, ffi.sizeof("struct settle_request"))
        return FileAction(request.actions)

    def _name(self, name: Any) -> bytes | None:
        if not name.hash:
            return None
        if name.len <= len(name.text):
            return bytes(ffi.buffer(name.text, name.len))
        whole = self.processes.text(name.hash)
        if whole is None:
            self._lost_texts += 1
            return bytes(ffi.buffer(name.text))
        return whole


def _directory(hint: Hint) -> bytes:
    return hint.value.rpartition(b"/")[0] or b"/" if hint.kind == "exact" else hint.value
